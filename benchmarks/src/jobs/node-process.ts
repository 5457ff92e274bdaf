import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { endsWithParent } from '../ends-with-parent.ts'

/** The built command line, as it is published. */
export const program = join(import.meta.dirname, '../../../apps/node/dist/main.js')

export interface NodeProcess extends AsyncDisposable {
  readonly pid: number
  readonly nodeId: string
  /** Where its API answers. */
  readonly api: string
  /** Multiaddrs for the `--peer` of others. */
  readonly addresses: readonly string[]
  /** From its spawn to its ready event. */
  readonly readyMs: number
}

interface ReadyEvent {
  readonly type: string
  readonly nodeId: string
  readonly api: string
  readonly addresses: readonly string[]
}

/** `skrei node start` in a process of its own, on free ports of the loopback interface. */
export const startNode = async (home: string, flags: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<NodeProcess> => {
  const began = performance.now()
  const child = spawn(
    process.execPath,
    [endsWithParent, program, 'node', 'start', '--json', '--api-port', '0', '--listen', '/ip4/127.0.0.1/tcp/0', '--log-level', 'error', ...flags],
    { env: { ...process.env, ...environment, SKREI_HOME: home }, stdio: ['pipe', 'pipe', 'pipe'] },
  )
  // What a node says to people is shown only where it does not get ready.
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = `${said}${text}`.slice(-4096)
  })
  const event = await ready(child)
  if (event === undefined) throw new Error(`a node ended before it was ready:\n${said}`)
  const { nodeId, api, addresses } = event
  return {
    pid: child.pid ?? 0,
    nodeId,
    api,
    addresses,
    readyMs: performance.now() - began,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}

const ready = async ({ stdout }: ChildProcessByStdio<Writable, Readable, Readable>): Promise<ReadyEvent | undefined> => {
  for await (const line of createInterface({ input: stdout })) {
    const event = JSON.parse(line) as ReadyEvent
    if (event.type !== 'ready') continue
    stdout.resume()
    return event
  }
  return undefined
}

/** User and system time of a process so far, its threads included. */
export const cpuMs = (pid: number): number => {
  // The name, in parentheses, may hold blanks.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

export const rssMiB = (pid: number): number => Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
