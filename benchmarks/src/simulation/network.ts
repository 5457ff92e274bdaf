import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface NetworkCost {
  readonly executions: number
  readonly wallMs: number
  readonly cpuMs: number
  readonly messages: number
  /** How many nodes the requester knows by now. */
  readonly known: number
  /** The most memory that the process ever held. */
  readonly rssMiB: number
}

export interface Network extends AsyncDisposable {
  readonly nodes: number
  /** How long it took until everybody was there; milliseconds. */
  readonly startMs: number
  /** One requester's jobs. One call at a time. */
  run(executions: number): Promise<NetworkCost>
}

const entry = fileURLToPath(new URL('./network-process.ts', import.meta.url))

/** Each in a process of its own: the heap of one costs the others nothing. With the flags of this process, so that it is profiled when this one is. */
export const startNetwork = async (nodes: number, seed: number): Promise<Network> => {
  const began = performance.now()
  const child = fork(entry, [String(nodes), String(seed)], { stdio: ['ignore', 2, 2, 'ipc'] })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await answer(child)
  return {
    nodes,
    startMs: performance.now() - began,
    run: (executions) => {
      child.send(executions)
      return answer<NetworkCost>(child)
    },
    [Symbol.asyncDispose]: async () => {
      if (child.connected) child.disconnect()
      await ended
    },
  }
}

/** What the process says next. */
const answer = <T>(child: ChildProcess): Promise<T> =>
  new Promise((resolve, reject) => {
    const settle = (): void => {
      child.off('message', said)
      child.off('exit', gone)
    }
    const said = (message: unknown): void => {
      settle()
      resolve(message as T)
    }
    const gone = (code: number | null, signal: string | null): void => {
      settle()
      reject(new Error(`the process of a simulated network ended with ${signal ?? code}`))
    }
    child.on('message', said)
    child.on('exit', gone)
  })
