#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command, CommanderError, Option } from 'commander'
import { cliError, cliErrors, exitCodes } from './cli-errors.ts'
import type { NodeStartOptions } from './commands/node-start.ts'
import { nodeVersionError } from './node-version.ts'

// Everything but the command that is called stays unloaded: `skrei --help` answers at once.

const manifest: { readonly version: string } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

const wantsJson = process.argv.includes('--json')

/** Never rejects: what cannot even be told properly is told in one line. */
const failed = async (error: unknown): Promise<number> => {
  try {
    const { fail } = await import('./commands/fail.ts')
    return fail(error, wantsJson)
  } catch (second) {
    process.stderr.write(`error internal: ${String(error)} (and telling it failed: ${String(second)})\n`)
    return exitCodes.failed
  }
}

// A reader that went away (`skrei … | head`) is no fault of ours; output that is lost otherwise is.
const unwritable = (stream: NodeJS.WriteStream, error: NodeJS.ErrnoException): void => {
  if (error.code === 'EPIPE' || unwritten) return
  unwritten = true
  if (stream === process.stdout) process.stderr.write(`error output-unwritable: standard output could not be written: ${error.code ?? error.message}\n`)
  process.on('exit', (code) => {
    if (code === exitCodes.completed) process.exitCode = cliErrors['output-unwritable'].exit
  })
}
let unwritten = false
for (const stream of [process.stdout, process.stderr]) stream.on('error', (error) => unwritable(stream, error))
// What nobody caught: one line and a log, as for every fault. The run folder is left to the next start.
process.on('uncaughtException', (error) => void failed(error).then((code) => process.exit(code)))
// Node 22 warns of its SQLite, which is the one of Node 24.
process.removeAllListeners('warning').on('warning', (warning) => {
  if (warning.name !== 'ExperimentalWarning') process.stderr.write(`${warning.name}: ${warning.message}\n`)
})

const json = () => new Option('--json', 'write one JSON event a line to standard output')

const program = new Command('skrei')
  .description('Moves computation to where the data is.')
  .version(manifest.version, '--version', 'print the version')
  .helpOption('--help', 'print this help')
  .helpCommand(false)
  .configureHelp({ showGlobalOptions: false })
  .addHelpText(
    'after',
    `
Exit codes: 0 completed, 1 the job failed, 2 bad input, 3 no node could run it, 4 its result was not accepted, 130 cancelled.
SKREI_HOME (default ~/.skrei) is the folder that holds everything a node keeps.`,
  )
  .exitOverride()
  .configureOutput({ outputError: () => undefined })

program
  .command('run')
  .description('run a job on a node in this process and fetch its result')
  .argument('FILE', 'the job file, YAML or JSON; - reads standard input')
  .option('--output <dir>', 'put the result into this new or empty directory (default: SKREI_HOME/results/JOB)')
  .addOption(new Option('--plan', 'say what would run where, and what not and why; run nothing').conflicts('output'))
  .addOption(json())
  .option('--allow-private-addresses', 'let https sources reach loopback, private and link-local addresses')
  .action(async (file: string, options: { readonly output?: string; readonly plan?: true; readonly json?: true; readonly allowPrivateAddresses?: true }) => {
    if (options.plan) {
      const { plan } = await import('./commands/plan.ts')
      process.exitCode = await plan(file, options)
      return
    }
    const { run } = await import('./commands/run.ts')
    process.exitCode = await run(file, options)
  })

program
  .command('validate')
  .description('check job files without running them')
  .argument('FILE...', 'job files; - reads standard input')
  .addOption(json())
  .action(async (files: readonly string[], options: { readonly json?: true }) => {
    const { validate } = await import('./commands/validate.ts')
    process.exitCode = await validate(files, options)
  })

program
  .command('get')
  .description('fetch a published result out of the blockstore in SKREI_HOME')
  .argument('CID', 'as `skrei run` printed it')
  .argument('DIR', 'a new or empty directory')
  .action(async (cid: string, directory: string) => {
    const { get } = await import('./commands/get.ts')
    process.exitCode = await get(cid, directory)
  })

const several = (value: string, before: readonly string[] = []): readonly string[] => [...before, value]

const node = program.command('node').description('a node that runs on its own, for clients and other nodes')
node
  .command('start')
  .description('start a node, and run it until it is told to end')
  .option('--config <file>', 'its configuration (default: SKREI_HOME/config.yaml, where there is one); flags and SKREI_… variables come before it')
  .option('--network <name>', 'nodes of different networks do not understand each other')
  .addOption(new Option('--requester-only', 'takes jobs, runs none').conflicts('computeOnly'))
  .option('--compute-only', 'runs jobs, takes none')
  .option('--listen <multiaddr>', 'where other nodes reach it, such as /ip4/0.0.0.0/tcp/4001; may be repeated', several)
  .option('--peer <multiaddr>', 'a node to stay connected to, with /p2p/ID at its end; may be repeated', several)
  .option('--api-host <host>', 'where clients reach it (default: 127.0.0.1)')
  .option('--api-port <port>', '0: any that is free (default: 1212)')
  .option('--no-ipfs', 'keep and fetch no blocks')
  .option('--label <name=value>', 'a label for the constraints of jobs; may be repeated', several)
  .option('--allow-local-path <dir>', 'let jobs read below this directory; may be repeated', several)
  .option('--allow-private-addresses', 'let https sources reach loopback, private and link-local addresses')
  .option('--log-level <level>', 'debug, info, warn or error')
  .addOption(json())
  .action(async (options: NodeStartOptions) => {
    const { nodeStart } = await import('./commands/node-start.ts')
    process.exitCode = await nodeStart(options, manifest.version)
  })

const spec = program.command('spec').description('the job file format')
spec
  .command('init')
  .description('write a commented example job, ready to run')
  .argument('[FILE]', 'where to', 'job.yaml')
  .action(async (file: string) => {
    const { specInit } = await import('./commands/spec-init.ts')
    process.exitCode = specInit(file)
  })
spec
  .command('schema')
  .description('print the JSON Schema of job files')
  .action(async () => {
    const { specSchema } = await import('./commands/spec-schema.ts')
    specSchema()
  })

for (const command of [program, ...program.commands, ...spec.commands, ...node.commands]) command.helpOption('--help', 'print this help')

try {
  const unfit = nodeVersionError(process.versions.node)
  if (unfit) throw unfit
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof CommanderError)) process.exitCode = await failed(error)
  else if (error.exitCode === 0) process.exitCode = 0
  // Called without a command, commander has printed the help already.
  else if (error.code === 'commander.help') process.exitCode = exitCodes['bad-input']
  else process.exitCode = await failed(cliError('usage', error.message.replace(/^error: /, '')))
}
