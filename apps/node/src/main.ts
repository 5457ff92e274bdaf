#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { cliError, cliErrors, exitCodes } from './cli-errors.ts'
import type { AskOptions } from './commands/ask-node.ts'
import type { DevnetOptions } from './commands/devnet.ts'
import type { DevnetProcessOptions } from './commands/devnet-process.ts'
import type { DockerOptions } from './commands/docker.ts'
import type { ListOptions } from './commands/job-list.ts'
import type { LogsOptions } from './commands/job-logs.ts'
import type { ResultsOptions } from './commands/job-results.ts'
import type { SubmitOptions } from './commands/job-submit.ts'
import type { NodeStartOptions } from './commands/node-start.ts'
import type { RunOptions } from './commands/run.ts'
import type { ReadJob } from './job-file.ts'
import { nodeVersionError } from './node-version.ts'

// Everything but the command that is called stays unloaded: `skrei --help` answers at once.

const manifest: { readonly version: string } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

/** What comes after `--` is a program's. */
const ours = process.argv.includes('--') ? process.argv.slice(0, process.argv.indexOf('--')) : process.argv
const wantsJson = ours.includes('--json')

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

const nodeOption = () => new Option('--node <url>', 'the API of the node that is asked (default: SKREI_NODE, else the node that runs on SKREI_HOME)')
const json = () => new Option('--json', 'write one JSON event a line to standard output')

const several = (value: string, before: readonly string[] = []): readonly string[] => [...before, value]

const program = new Command('skrei')
  .description('Moves computation to where the data is.')
  .version(manifest.version, '--version', 'print the version')
  .helpOption('--help', 'print this help')
  .helpCommand(false)
  .configureHelp({ showGlobalOptions: false, minWidthToWrap: 30 })
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
  .option('--node <url>', 'run it on the network of this node instead, through its API; files that the job names are uploaded')
  .addOption(new Option('--allow-private-addresses', 'let https sources reach loopback, private and link-local addresses').conflicts('node'))
  .action(async (file: string, options: RunOptions & { readonly plan?: true }) => {
    const { readJobFile } = await import('./job-file.ts')
    const read: ReadJob = (reading) => readJobFile(file, reading)
    if (options.plan) {
      const { plan } = await import('./commands/plan.ts')
      process.exitCode = await plan(read, options)
      return
    }
    const { run } = await import('./commands/run.ts')
    process.exitCode = await run(read, options)
  })

program
  .command('docker')
  .description('run a container image as a job: the job file is made of the flags')
  .usage('[options] IMAGE [-- COMMAND...]')
  .argument('IMAGE', 'as in `docker run`; pinned by digest it is the same every time')
  .argument('[COMMAND...]', "in the place of the image's command; after --, so that its flags are its own")
  .option('--input <source>', 'PATH, URL or CID, and where it lies: data.csv:/inputs (the default); may be repeated', several)
  .option('--output-path <dir>', 'a directory of the container that is kept (default: /outputs); may be repeated', several)
  .option('--env <name=value>', 'a variable of its environment; may be repeated', several)
  .option('--cpu <quantity>', 'such as 2 or 500m (default: 500m)')
  .option('--memory <quantity>', 'such as 1Gi (default: 512Mi)')
  .option('--disk <quantity>', 'for inputs, and again for outputs (default: 1Gi)')
  .option('--gpu <count>', 'how many GPUs')
  .option('--network <mode>', 'none, http (with --domain), or full (default: none)')
  .option('--domain <name>', 'a host that it may reach over HTTP and HTTPS: example.org, *.example.org; may be repeated', several)
  .option('--entrypoint <program>', "in the place of the image's entrypoint")
  .option('--workdir <dir>', 'where the program starts')
  .option('--user <user>', 'user or user:group inside')
  .option('--pull <when>', 'always, missing or never (default: missing)')
  .option('--timeout <duration>', 'how long the program may run, such as 90s or 2h (default: 10m)')
  .option('--publisher <type>', 'where the result goes: ipfs, local or none (default: ipfs)')
  .option('--name <text>', 'what people call the job')
  .addOption(new Option('--print', 'print the job file; run nothing').conflicts(['output', 'plan', 'json', 'node']))
  .option('--output <dir>', 'put the result into this new or empty directory (default: SKREI_HOME/results/JOB)')
  .addOption(new Option('--plan', 'say what would run where, and what not and why; run nothing').conflicts('output'))
  .addOption(json())
  .option('--node <url>', 'run it on the network of this node instead, through its API; local inputs are uploaded')
  .addOption(new Option('--allow-private-addresses', 'let inputs from URLs reach loopback, private and link-local addresses').conflicts('node'))
  .action(async (image: string, command: readonly string[], options: DockerOptions) => {
    const { docker } = await import('./commands/docker.ts')
    process.exitCode = await docker(image, command, options)
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

program
  .command('doctor')
  .description('say what a node on this machine can use: engines, GPUs, limits; and what is missing, with the command that installs it')
  .addOption(json())
  .action(async (options: { readonly json?: true }) => {
    const { doctor } = await import('./commands/doctor.ts')
    process.exitCode = await doctor(manifest.version, options)
  })

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

node
  .command('list')
  .description('the compute nodes that a node knows, and what of each is reserved')
  .addOption(nodeOption())
  .addOption(json())
  .action(async (options: AskOptions) => {
    const { nodeList } = await import('./commands/node-list.ts')
    process.exitCode = await nodeList(options)
  })
node
  .command('describe')
  .description('the node that is asked, or one that it knows: what it has, and what of that is reserved')
  .argument('[ID]', 'what the id of one node begins or ends with')
  .addOption(nodeOption())
  .addOption(json())
  .action(async (id: string | undefined, options: AskOptions) => {
    const { nodeDescribe } = await import('./commands/node-describe.ts')
    process.exitCode = await nodeDescribe(id, options)
  })
node
  .command('peers')
  .description('whom a node is connected to, or should be')
  .addOption(nodeOption())
  .addOption(json())
  .action(async (options: AskOptions) => {
    const { nodePeers } = await import('./commands/node-peers.ts')
    process.exitCode = await nodePeers(options)
  })

const job = program.command('job').description('jobs of a node that runs on its own')
const notEmpty = (id: string): string => {
  if (id === '') throw new InvalidArgumentError('it is empty: give the id of a job')
  return id
}
const jobId = ['ID', 'the id of a job, or at least 4 characters that only it begins with', notEmpty] as const
job
  .command('submit')
  .description('give a job to a node, with the files of this machine that it names')
  .argument('FILE', 'the job file, YAML or JSON; - reads standard input')
  .option('--key <text>', 'submitted again with the same key, it is the same job')
  .option('--wait', 'wait for its end, and end as it does')
  .addOption(nodeOption())
  .addOption(json())
  .action(async (file: string, options: SubmitOptions) => {
    const { jobSubmit } = await import('./commands/job-submit.ts')
    process.exitCode = await jobSubmit(file, options)
  })
job
  .command('list')
  .description('the newest jobs of a node')
  .addOption(
    new Option('--state <state>', 'only those in this state').choices(['planning', 'running', 'stopping', 'composing', 'completed', 'failed', 'cancelled']),
  )
  .option('--limit <count>', 'at most so many (default: 20)')
  .addOption(nodeOption())
  .addOption(json())
  .action(async (options: ListOptions) => {
    const { jobList } = await import('./commands/job-list.ts')
    process.exitCode = await jobList(options)
  })
job
  .command('describe')
  .description('what became of a job: its shards, where each ran, how long, and what went wrong')
  .argument(...jobId)
  .addOption(nodeOption())
  .addOption(json())
  .action(async (id: string, options: AskOptions) => {
    const { jobDescribe } = await import('./commands/job-describe.ts')
    process.exitCode = await jobDescribe(id, options)
  })
job
  .command('logs')
  .description('what a shard of a job wrote')
  .argument(...jobId)
  .option('--shard <index>', 'which shard (default: 0)')
  .option('--stdout', 'only its standard output')
  .option('--stderr', 'only its standard error')
  .option('--follow', 'go on until the shard is over')
  .addOption(nodeOption())
  .addOption(json())
  .action(async (id: string, options: LogsOptions) => {
    const { jobLogs } = await import('./commands/job-logs.ts')
    process.exitCode = await jobLogs(id, options)
  })
job
  .command('wait')
  .description('wait for the end of a job, and end as it does')
  .argument(...jobId)
  .addOption(nodeOption())
  .addOption(json())
  .action(async (id: string, options: AskOptions) => {
    const { jobWait } = await import('./commands/job-wait.ts')
    process.exitCode = await jobWait(id, options)
  })
job
  .command('stop')
  .description('cancel a job')
  .argument(...jobId)
  .addOption(nodeOption())
  .addOption(json())
  .action(async (id: string, options: AskOptions) => {
    const { jobStop } = await import('./commands/job-stop.ts')
    process.exitCode = await jobStop(id, options)
  })
job
  .command('results')
  .description('fetch the result of a job that is over')
  .argument(...jobId)
  .requiredOption('--output <dir>', 'a new or empty directory')
  .addOption(nodeOption())
  .addOption(json())
  .action(async (id: string, options: ResultsOptions) => {
    const { jobResults } = await import('./commands/job-results.ts')
    process.exitCode = await jobResults(id, options)
  })

program
  .command('devnet')
  .description('a whole network on this machine, to try things with; gone when it ends')
  .option('--nodes <count>', 'how many nodes', '3')
  .option('--per-process <count>', 'how many of them share a process (default: 1)')
  .option('--home <dir>', 'keep the homes of the nodes in this directory')
  .option('--cpu <quantity>', 'of each node, such as 500m (default: its share of the machine)')
  .option('--memory <quantity>', 'of each node, such as 1Gi (default: its share)')
  .option('--disk <quantity>', 'of each node (default: its share)')
  .option('--no-ipfs', 'keep and fetch no blocks')
  .addOption(json())
  .action(async (options: DevnetOptions) => {
    const { devnet } = await import('./commands/devnet.ts')
    process.exitCode = await devnet(options)
  })
program
  .command('devnet-process', { hidden: true })
  .argument('HOME...')
  .option('--temporary')
  .action(async (homes: readonly string[], options: DevnetProcessOptions) => {
    const { devnetProcess } = await import('./commands/devnet-process.ts')
    process.exitCode = await devnetProcess(homes, options, manifest.version)
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

for (const command of [program, ...program.commands, ...spec.commands, ...node.commands, ...job.commands])
  command.helpOption('--help', 'print this help').helpCommand(false)

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
