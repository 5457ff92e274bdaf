import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { CliError, cliErrors, exitCodes } from '../cli-errors.ts'
import type { DevnetNode } from './lay-out.ts'
import type { DevnetMessage } from './messages.ts'

export interface DevnetProcess {
  readonly pid: number
  readonly nodes: readonly (DevnetNode & { readonly api: string; readonly addresses: readonly string[] })[]
  /** How it ended: a signal or an exit code; empty while it runs. */
  readonly how: string
}

export interface Devnet {
  readonly processes: readonly DevnetProcess[]
  /** Resolves when no process runs any more. */
  readonly ended: Promise<unknown>
  /** Ends all of them, at once with the signal; resolves when they are gone. */
  end(atOnce: AbortSignal): Promise<void>
}

export interface StartProcesses {
  readonly nodes: readonly DevnetNode[]
  readonly perProcess: number
  readonly temporary: boolean
  readonly signal: AbortSignal
  /** A process ended that nobody told to. */
  readonly onEnd: (process: DevnetProcess) => void
}

/** Started at once; each takes most of a core until it is ready. */
const startedAtOnce = 8
/** Milliseconds within which a process that was told to end must be gone. */
const patience = 15_000

type Child = ChildProcess & { readonly pid: number }

interface Running {
  readonly child: Child
  readonly process: DevnetProcess
  readonly gone: Promise<string>
}

/** Starts a network, so many nodes a process. Rejects, with nothing left running, where a node does not start. */
export const startProcesses = async ({ nodes, perProcess, temporary, signal, onEnd }: StartProcesses): Promise<Devnet> => {
  const running: Running[] = []
  let isEnding = false
  const end = async (atOnce?: AbortSignal): Promise<void> => {
    isEnding = true
    const kill = (): void => {
      for (const { child } of running) child.kill('SIGKILL')
    }
    const timer = setTimeout(kill, patience)
    atOnce?.addEventListener('abort', kill)
    if (atOnce?.aborted) kill()
    for (const { child } of running) child.kill('SIGTERM')
    await Promise.all(running.map(({ gone }) => gone))
    clearTimeout(timer)
    atOnce?.removeEventListener('abort', kill)
  }
  const groups = Array.from({ length: Math.ceil(nodes.length / perProcess) }, (_, index) => nodes.slice(index * perProcess, (index + 1) * perProcess))
  const startNext = async (): Promise<void> => {
    for (let group = groups.shift(); group !== undefined; group = groups.shift()) {
      signal.throwIfAborted()
      const child = forkProcess(group, temporary)
      const gone = once(child, 'exit').then(([code, by]) => String(by ?? `exit code ${code}`))
      const one: { pid: number; nodes: DevnetProcess['nodes']; how: string } = { pid: child.pid, nodes: [], how: '' }
      running.push({ child, process: one, gone })
      one.nodes = await ready(child, group, gone, signal)
      void gone.then((how) => {
        one.how = how
        if (!isEnding) onEnd(one)
      })
    }
  }
  try {
    const starts = await Promise.allSettled(Array.from({ length: Math.min(startedAtOnce, groups.length) }, startNext))
    for (const start of starts) if (start.status === 'rejected') throw start.reason
  } catch (error) {
    await end()
    throw error
  }
  const byName = running.map(({ process }) => process).toSorted((one, other) => order(one, nodes) - order(other, nodes))
  return { processes: byName, ended: Promise.all(running.map(({ gone }) => gone)), end }
}

const order = ({ nodes: [first] }: DevnetProcess, all: readonly DevnetNode[]): number => all.findIndex(({ name }) => name === first?.name)

const forkProcess = (nodes: readonly DevnetNode[], temporary: boolean): Child => {
  const [main] = process.argv.slice(1)
  const [first] = nodes
  if (main === undefined || first === undefined) throw new Error('there is nothing to start')
  const log = openSync(join(first.home, 'log'), 'a', 0o600)
  try {
    const child = fork(main, ['devnet-process', ...(temporary ? ['--temporary'] : []), ...nodes.map(({ home }) => home)], {
      stdio: ['ignore', log, log, 'ipc'],
      env: { ...process.env, SKREI_HOME: first.home },
    })
    if (child.pid === undefined) throw new Error('a process could not be started')
    return Object.assign(child, { pid: child.pid })
  } finally {
    closeSync(log)
  }
}

const ready = (child: Child, nodes: readonly DevnetNode[], gone: Promise<string>, signal: AbortSignal): Promise<DevnetProcess['nodes']> =>
  new Promise((resolve, reject) => {
    const found: DevnetProcess['nodes'][number][] = []
    const fail = (code: string, message: string): void => {
      const known = code in cliErrors ? cliErrors[code as keyof typeof cliErrors] : cliErrors.internal
      reject(new CliError(known.exit === exitCodes.cancelled ? exitCodes.failed : known.exit, [{ code, message, remedy: known.remedy }]))
    }
    signal.addEventListener('abort', () => reject(signal.reason))
    void gone.then((how) => fail('internal', `the process of ${nodes.map(({ name }) => name).join(', ')} ended before it was ready: ${how}`))
    child.on('message', (message: DevnetMessage) => {
      const node = nodes.find(({ home }) => home === message.home)
      if (node === undefined) return
      if (message.type === 'failed') {
        fail(message.code, `${node.name}: ${message.message}`)
        return
      }
      found.push({ ...node, api: message.api, addresses: message.addresses })
      if (found.length === nodes.length) resolve(found)
    })
  })
