import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { apiClient } from '@skrei/api/client'
import { bytesSchema, type Capacity, cpuSchema } from '@skrei/job-spec'
import { commandLine } from '../called-as.ts'
import { CliError, cliError, type ExitCode, exitCodes } from '../cli-errors.ts'
import { layOut } from '../devnet/lay-out.ts'
import { type DevnetProcess, startProcesses } from '../devnet/start-processes.ts'
import { interrupts } from '../interrupts.ts'
import { makeDirectory } from '../make-directory.ts'
import { columns, count, type Style, styleFor, titledTable } from '../table.ts'
import { fail } from './fail.ts'

export interface DevnetOptions {
  readonly nodes: string
  readonly perProcess?: string
  readonly home?: string
  readonly cpu?: string
  readonly memory?: string
  readonly disk?: string
  readonly ipfs: boolean
  readonly json?: true
}

const mostNodes = 1000
const enough = 8
/** Milliseconds. */
const patience = 20_000
/** A port that was free may be taken before its node listens on it. */
const tries = 3

/** `skrei devnet`: a whole network on this machine, until it is told to end. Returns the exit code; whatever happens, it has been told. */
export const devnet = async (options: DevnetOptions): Promise<ExitCode> => {
  const json = options.json === true
  using interrupt = interrupts()
  const people = json ? process.stderr : process.stdout
  const event = (told: { readonly type: string }): void => void (json && process.stdout.write(`${JSON.stringify(told)}\n`))
  const say = (lines: readonly string[]): void => void people.write(`${lines.join('\n')}\n`)
  let root: string | undefined
  try {
    const nodes = wholeNumber('--nodes', options.nodes, mostNodes)
    const perProcess = wholeNumber('--per-process', options.perProcess ?? '1', mostNodes)
    const capacity = capacityOf(options)
    const temporary = options.home === undefined
    root = options.home === undefined ? mkdtempSync(join(tmpdir(), 'skrei-devnet-')) : resolve(options.home)
    makeDirectory(root, 0o700)
    const onEnd = ({ pid, how, nodes: those }: DevnetProcess): void => {
      const names = those.map(({ name }) => name)
      event({ type: 'ended', pid, nodes: names, how } as { readonly type: string })
      say([`${names.join(', ')}  ended: ${how}`])
    }
    const network = await started({ root, nodes, perProcess, capacity, ipfs: options.ipfs, temporary, signal: interrupt.first, onEnd })
    try {
      const style = styleFor(people)
      for (const { pid, nodes: those } of network.processes) for (const node of those) event({ type: 'node', pid, ...node } as { readonly type: string })
      await acquainted(network.processes, interrupt.first)
      say(intro(network.processes, root, temporary, style))
      event({ type: 'ready', nodes, home: root } as { readonly type: string })
      await Promise.race([new Promise((done) => interrupt.first.addEventListener('abort', done)), network.ended])
      if (!interrupt.first.aborted) throw cliError('devnet-ended', 'all processes of the network have ended')
    } finally {
      await network.end(interrupt.second)
    }
    event({ type: 'stopped' })
    return exitCodes.completed
  } catch (error) {
    if (interrupt.first.aborted && !(error instanceof CliError)) return fail(cliError('cancelled', 'interrupted', { cause: error }), json)
    return fail(error, json)
  } finally {
    if (root !== undefined && options.home === undefined) rmSync(root, { recursive: true, force: true, maxRetries: 5 })
  }
}

type Start = Parameters<typeof layOut>[0] & Omit<Parameters<typeof startProcesses>[0], 'nodes'> & { readonly nodes: number }

const started = async (start: Start): ReturnType<typeof startProcesses> => {
  for (let attempt = 1; ; attempt += 1) {
    const nodes = await layOut(start)
    try {
      return await startProcesses({ ...start, nodes })
    } catch (error) {
      if (attempt === tries || !(error instanceof CliError) || error.problems[0].code !== 'address-unusable') throw error
    }
  }
}

const wholeNumber = (flag: string, text: string, most: number): number => {
  const number = Number(text)
  if (!/^\d+$/.test(text) || number < 1 || number > most) throw cliError('usage', `${flag} takes a whole number from 1 to ${most}`)
  return number
}

const capacityOf = ({ cpu, memory, disk }: DevnetOptions): Partial<Capacity> => {
  const read = (flag: string, schema: typeof cpuSchema | typeof bytesSchema, text: string): number => {
    const result = schema.safeParse(text)
    if (!result.success) throw cliError('usage', `${flag}: ${result.error.issues[0]?.message ?? 'not a quantity'}`)
    return result.data
  }
  return {
    ...(cpu !== undefined && { cpu: read('--cpu', cpuSchema, cpu) }),
    ...(memory !== undefined && { memory: read('--memory', bytesSchema, memory) }),
    ...(disk !== undefined && { disk: read('--disk', bytesSchema, disk) }),
  }
}

/** Waits until the first node has heard of all others; in a large network, where nodes are asked for, of a few. Goes on after a while all the same: it is no fault where a node is slow. */
const acquainted = async (processes: readonly DevnetProcess[], signal: AbortSignal): Promise<void> => {
  const [first, ...others] = processes.flatMap(({ nodes }) => nodes)
  if (first === undefined) return
  const client = apiClient({ url: first.api })
  const wanted = Math.min(others.length + 1, enough)
  const until = performance.now() + patience
  const heard = async (): Promise<number> => {
    try {
      return (await client.nodes({ signal })).length
    } catch {
      // It died meanwhile, which is told.
      return 0
    }
  }
  while ((await heard()) < wanted && performance.now() < until) await pause(50, undefined, { signal })
}

/** Nodes that are shown one by one. */
const shown = 40

const intro = (processes: readonly DevnetProcess[], root: string, temporary: boolean, style: Style): readonly string[] => {
  const rows = processes.flatMap(({ pid, nodes }) => nodes.map(({ name, api, nodeId }) => [name, api, String(pid), nodeId]))
  const [first] = rows
  const victim = processes.at(-1)?.pid
  const dim = (text: string): string => style('dim', text)
  return [
    `${style('bold', `a network of ${count(rows.length, 'node')}`)} in ${count(processes.length, 'process').replace('processs', 'processes')}, in ${root}`,
    '',
    ...titledTable(['node', 'API', 'pid', 'id'], rows.slice(0, shown), style).map((line) => `  ${line}`),
    ...(rows.length > shown ? [dim(`  … and ${rows.length - shown} more`)] : []),
    '',
    'In another terminal:',
    `  export SKREI_NODE=${first?.[1]}`,
    ...columns([
      [commandLine('spec init job.yaml'), dim('# an example')],
      [commandLine('job submit job.yaml --wait'), ''],
      [commandLine('job list'), dim('# then: job describe ID, job logs ID, job results ID --output DIR')],
      [commandLine('node list'), dim('# what of each node is reserved')],
      [`kill -9 ${victim}`, dim('# a node dies; `job describe` shows where its shards went')],
    ]).map((line) => `  ${line}`),
    '',
    `Ctrl-C ends it${temporary ? ' and removes everything' : `; what it kept is in ${root}`}.`,
  ]
}
