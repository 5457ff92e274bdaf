import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Failure, Refusal, Task } from '@skrei/job-spec'
import { type Execution, executions, type Outcome, timerWait } from './executions.ts'
import type { Executor, RunRequest } from './index.ts'

export interface NoopOptions {
  /** Resolves after so many milliseconds, or rejects once the signal is aborted. Default: timers. A simulation hands in its virtual clock. */
  readonly wait?: (milliseconds: number, options: { readonly signal: AbortSignal }) => Promise<void>
  /** Milliseconds, from any start, for `usage.wallMs`. Default: no `wallMs`. */
  readonly now?: () => number
}

type NoopTask = Extract<Task['engine'], { type: 'noop' }>

const isNoop = (engine: Task['engine']): engine is NoopTask => engine.type === 'noop'

/** The engine `noop`: computes nothing, but waits, writes, fails and ends as its task says, and keeps every promise of the contract. */
export const noopExecutor = (options: NoopOptions = {}): Executor => {
  const wait = options.wait ?? timerWait

  const start = async (execution: Execution): Promise<Outcome> => {
    const { request, signal } = execution
    const { engine } = request.task
    if (!isNoop(engine)) throw new TypeError(`the noop executor was given engine ${engine.type}`)
    const began = options.now?.()
    execution.running()
    const encoder = new TextEncoder()
    if (engine.stdout !== undefined) execution.write('stdout', encoder.encode(engine.stdout))
    if (engine.stderr !== undefined) execution.write('stderr', encoder.encode(engine.stderr))
    const usage = (outputBytes: number) => ({ outputBytes, ...(began !== undefined && options.now !== undefined && { wallMs: options.now() - began }) })
    if (engine.duration !== undefined) await wait(engine.duration, { signal }).catch(() => undefined)
    if (signal.aborted) return { usage: usage(0), facts: {} }
    const written = await writeFiles(request, engine.files ?? {})
    if ('failure' in written) return { failure: written.failure, usage: usage(written.bytes), facts: {} }
    return { exit: engine.exit ?? 0, usage: usage(written.bytes), facts: {} }
  }

  return {
    engine: 'noop',
    inventory: async ({ signal } = {}) => {
      signal?.throwIfAborted()
      return { version: '1', devices: [] }
    },
    assess: async (task, { signal } = {}) => {
      signal?.throwIfAborted()
      return assess(task)
    },
    ...executions({ start, wait }),
  }
}

const assess = (task: Task): readonly Refusal[] => {
  if (!isNoop(task.engine)) return [{ code: 'engine-unavailable', detail: `this executor runs noop, not ${task.engine.type}` }]
  const { count } = task.resources.gpu
  return [
    ...(task.network.mode === 'none' ? [] : [{ code: 'network-unsupported', detail: 'the noop engine has no network' } as const]),
    ...(count === 0 ? [] : [{ code: 'exceeds-node', detail: 'the noop engine has no devices', resource: 'gpu', wanted: count, available: 0 } as const]),
  ]
}

/** Writes below the writable mount that holds each path. Nothing is written unless all of it may be. */
const writeFiles = async (request: RunRequest, files: Readonly<Record<string, string>>): Promise<{ bytes: number; failure?: Failure }> => {
  const placed: { path: string; bytes: Uint8Array }[] = []
  let total = 0
  for (const [guest, text] of Object.entries(files)) {
    const segments = guest.split('/').slice(1)
    const safe = guest.startsWith('/') && segments.every((segment) => segment !== '' && segment !== '.' && segment !== '..' && !segment.includes('\0'))
    const mount = request.mounts.filter((candidate) => candidate.writable && guest.startsWith(`${candidate.at}/`)).sort((a, b) => b.at.length - a.at.length)[0]
    if (!safe || mount === undefined) return { bytes: 0, failure: { code: 'task-invalid', detail: `${guest} is in no output of the task` } }
    const bytes = new TextEncoder().encode(text)
    total += bytes.length
    placed.push({ path: join(mount.path, guest.slice(mount.at.length)), bytes })
  }
  const { disk } = request.task.resources
  const { files: most } = request.task.limits
  if (total > disk) return { bytes: 0, failure: { code: 'output-too-large', detail: `wrote ${total} bytes of ${disk} allowed` } }
  if (placed.length > most) return { bytes: 0, failure: { code: 'output-too-large', detail: `wrote ${placed.length} files of ${most} allowed` } }
  for (const { path, bytes } of placed) {
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, bytes)
  }
  return { bytes: total }
}
