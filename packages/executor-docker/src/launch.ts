import { type ChildProcess, fork } from 'node:child_process'
import { EngineError } from './engine-client.ts'

export interface LaunchOrder {
  readonly key: number
  /** The container's id: hexadecimal. */
  readonly container: string
  readonly seconds: number
}

/** What the engine answered; no `status` where it did not answer. */
export interface LaunchReport {
  readonly key: number
  readonly status?: number
  readonly text: string
}

export interface Launcher extends AsyncDisposable {
  /** Starts a container and leaves with the engine the order to kill it after so many seconds, both of them also where this process is killed meanwhile. */
  launch(container: string, seconds: number): Promise<void>
}

interface Waiting {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

const entry = import.meta.url.endsWith('.ts') ? new URL('./launcher.ts', import.meta.url) : new URL('./launcher.js', import.meta.url)

/** Starts containers through a process of its own, which is there from the first launch on. */
export const launcher = (socketPath: string): Launcher => {
  const waiting = new Map<number, Waiting>()
  let child: ChildProcess | undefined
  let count = 0

  /** Only while something is waited for does the child keep this process from ending. */
  const hold = (one: ChildProcess): void => {
    for (const held of [one, one.channel])
      if (waiting.size > 0) held?.ref()
      else held?.unref()
  }

  const spawned = (): ChildProcess => {
    const made = fork(entry, [socketPath], { detached: true, env: {}, execArgv: ['--no-warnings'], stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
    made.on('message', ({ key, status, text }: LaunchReport) => {
      const asked = waiting.get(key)
      waiting.delete(key)
      hold(made)
      if (status !== undefined && status < 400) asked?.resolve()
      else
        asked?.reject(
          status === undefined ? new EngineError(`the Docker engine at ${socketPath} cannot be reached: ${text}`) : new EngineError(messageIn(text), status),
        )
    })
    const over = (): void => {
      if (child !== made) return
      child = undefined
      for (const { reject } of waiting.values()) reject(new EngineError('the process that starts containers ended by itself'))
      waiting.clear()
    }
    made.on('exit', over)
    made.on('error', over)
    return made
  }

  return {
    launch: (container, seconds) =>
      new Promise((resolve, reject) => {
        child ??= spawned()
        const key = ++count
        waiting.set(key, { resolve, reject })
        hold(child)
        const order: LaunchOrder = { key, container, seconds }
        // Where it cannot be sent the process has ended, and says so itself.
        child.send(order, () => undefined)
      }),
    [Symbol.asyncDispose]: async () => {
      const last = child
      child = undefined
      if (last === undefined) return
      const ended = new Promise<void>((resolve) => last.once('exit', () => resolve()))
      last.ref()
      if (last.connected) last.disconnect()
      await ended
    },
  }
}

const messageIn = (text: string): string => {
  try {
    const answer: unknown = JSON.parse(text)
    if (typeof answer === 'object' && answer !== null && 'message' in answer && typeof answer.message === 'string') return answer.message
  } catch {
    // Not the engine's own words.
  }
  return text
}
