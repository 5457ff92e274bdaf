import { type ChildProcess, fork } from 'node:child_process'
import { EngineError } from './engine-client.ts'

export interface LaunchOrder {
  readonly key: number
  /** The container's id: hexadecimal. */
  readonly container: string
  readonly seconds: number
}

/** What the engine answered: to the start, and later, of a container that started, when it has ended. No `status` where it did not answer. */
export interface LaunchReport {
  readonly key: number
  readonly of: 'start' | 'end'
  readonly status?: number
  readonly text: string
}

export interface Launcher extends AsyncDisposable {
  /** Starts a container and leaves with the engine the order to kill it after so many seconds, both of them also where this process is killed meanwhile. */
  launch(container: string, seconds: number): Promise<Launched>
}

export interface Launched {
  /** Resolves once the container has ended, as the engine says; rejects where nobody can tell any more. */
  readonly ended: Promise<void>
}

type Asked = Readonly<Record<LaunchReport['of'], PromiseWithResolvers<void>>>

const entry = import.meta.url.endsWith('.ts') ? new URL('./launcher.ts', import.meta.url) : new URL('./launcher.js', import.meta.url)

/** Starts containers through a process of its own, which is there from the first launch on. */
export const launcher = (socketPath: string): Launcher => {
  const waiting = new Map<number, Asked>()
  let child: ChildProcess | undefined
  let count = 0

  /** Only while something is waited for does the child keep this process from ending. */
  const hold = (one: ChildProcess): void => {
    for (const held of [one, one.channel])
      if (waiting.size > 0) held?.ref()
      else held?.unref()
  }

  const lost = (reason: string): void => {
    for (const one of waiting.values()) for (const { reject } of [one.start, one.end]) reject(new EngineError(reason))
    waiting.clear()
  }

  const spawned = (): ChildProcess => {
    const made = fork(entry, [socketPath], { detached: true, env: {}, execArgv: ['--no-warnings'], stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
    made.on('message', ({ key, of, status, text }: LaunchReport) => {
      const asked = waiting.get(key)
      const answered = status !== undefined && status < 400
      if (of === 'end' || !answered) waiting.delete(key)
      hold(made)
      if (answered) asked?.[of].resolve()
      else
        asked?.[of].reject(
          status === undefined ? new EngineError(`the Docker engine at ${socketPath} cannot be reached: ${text}`) : new EngineError(messageIn(text), status),
        )
    })
    const over = (): void => {
      if (child !== made) return
      child = undefined
      lost('the process that starts containers ended by itself')
    }
    made.on('exit', over)
    made.on('error', over)
    return made
  }

  return {
    launch: async (container, seconds) => {
      child ??= spawned()
      const key = ++count
      const asked: Asked = { start: Promise.withResolvers(), end: Promise.withResolvers() }
      // Who does not wait for it is not told.
      asked.end.promise.catch(() => undefined)
      waiting.set(key, asked)
      hold(child)
      const order: LaunchOrder = { key, container, seconds }
      // Where it cannot be sent the process has ended, and says so itself.
      child.send(order, () => undefined)
      await asked.start.promise
      return { ended: asked.end.promise }
    },
    [Symbol.asyncDispose]: async () => {
      const last = child
      child = undefined
      lost('this node has let go of its containers')
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
