import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ApiClient, apiClient } from '@skrei/api/client'
import { expect } from 'vitest'
import { bundledMain } from './bundle.ts'
import { type Ended, namesIn, processesWith } from './command-line.ts'

export interface Ready {
  readonly type: 'ready'
  readonly nodeId: string
  readonly network: string
  readonly api: string
  readonly addresses: readonly [string, ...string[]]
  readonly pid: number
}

/** A node as a process of its own. */
export interface RunningNode extends Ready {
  readonly child: ChildProcess
  readonly client: ApiClient
  readonly home: string
  readonly ended: Promise<Ended>
  /** Resolves once a line of standard output contains the text. */
  line(text: string): Promise<string>
  /** The first signal, and what it came to. */
  stop(signal?: NodeJS.Signals): Promise<Ended>
}

export interface Nodes extends AsyncDisposable {
  /** A folder for the homes of nodes. */
  readonly root: string
  home(name: string): string
  /** Starts a node on the home of this name, with quick settings, and waits until it is ready. */
  start(name: string, args?: readonly string[], environment?: Readonly<Record<string, string>>): Promise<RunningNode>
  /** The same, not waited for, whatever comes of it. */
  run(name: string, args?: readonly string[], environment?: Readonly<Record<string, string>>): Promise<Ended>
  copy(from: string, to: string): void
  /** Fails unless nothing is left of this node's home: no process, no temporary file, no workspace. */
  clean(name: string): void
}

export const nodes = (): Nodes => {
  const root = mkdtempSync(join(tmpdir(), 'skrei-nodes-test-'))
  const children = new Set<ChildProcess>()
  const homeOf = (name: string): string => join(root, name)

  const spawned = (name: string, args: readonly string[], more: Readonly<Record<string, string>>) => {
    const temporary = join(root, `${name}-tmp`)
    mkdirSync(temporary, { recursive: true })
    const environment = { ...process.env, SKREI_HOME: homeOf(name), TMPDIR: temporary, NO_COLOR: '1', DOCKER_HOST: 'unix:///nowhere', ...more }
    const child = spawn(process.execPath, [bundledMain(), 'node', 'start', '--json', '--api-port', '0', ...args], {
      cwd: root,
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    children.add(child)
    let stdout = ''
    let stderr = ''
    const waiting = new Set<() => void>()
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
      for (const look of [...waiting]) look()
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    const ended = once(child, 'close').then(([code]): Ended => {
      children.delete(child)
      return { code: code as number | null, stdout, stderr }
    })
    const line = (text: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = stdout.split('\n').find((one) => one.includes(text))
          if (found === undefined) return
          waiting.delete(look)
          resolve(found)
        }
        waiting.add(look)
        look()
        void ended.then(() => reject(new Error(`ended before the line came: ${stdout}\n${stderr}`)))
      })
    return { child, ended, line }
  }

  return {
    root,
    home: homeOf,
    start: async (name, args = [], environment = {}) => {
      const { child, ended, line } = spawned(name, args, environment)
      const ready = JSON.parse(await line('"type":"ready"')) as Ready
      return {
        ...ready,
        child,
        ended,
        line,
        home: homeOf(name),
        client: apiClient({ url: ready.api }),
        stop: (signal = 'SIGTERM') => {
          child.kill(signal)
          return ended
        },
      }
    },
    run: (name, args = [], environment = {}) => spawned(name, args, environment).ended,
    copy: (from, to) => cpSync(homeOf(from), homeOf(to), { recursive: true }),
    clean: (name) => {
      expect(namesIn(join(homeOf(name), 'node')).filter((file) => !/^(state\.sqlite.*|workspace|wasm|ports\.json)$/.test(file))).toEqual([])
      expect(namesIn(join(homeOf(name), 'node/wasm'))).toEqual([])
      expect(namesIn(join(homeOf(name), 'node/workspace'))).toEqual([])
      expect(namesIn(`${homeOf(name)}-tmp`)).toEqual([])
      expect(processesWith(homeOf(name))).toEqual([])
    },
    [Symbol.asyncDispose]: async () => {
      for (const child of children) {
        child.kill('SIGKILL')
        await once(child, 'close')
      }
      rmSync(root, { recursive: true, force: true })
    },
  }
}

export const noop = (rest = '', engine = ''): string => `apiVersion: skrei/v1\nengine: { type: noop${engine === '' ? '' : `, ${engine}`} }\n${rest}`

export const bytesOf = async (content: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const chunks: Uint8Array[] = []
  for await (const chunk of content) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Resolves once a node has taken an execution of the job up. */
export const running = async (client: ApiClient, id: string): Promise<void> => {
  for await (const event of client.events(id))
    if (event.type === 'history' && event.item.kind === 'execution' && 'to' in event.item && event.item.to === 'running') return
  throw new Error('the job ended before it was seen to run')
}

/** The code of what a promise rejects with. */
export const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error as { readonly code?: unknown }).code,
  )
