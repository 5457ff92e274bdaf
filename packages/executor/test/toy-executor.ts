import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Executor, RunRequest } from '@skrei/executor'
import { type Execution, executions, type Outcome } from '@skrei/executor/executions'
import type { Refusal, Task } from '@skrei/job-spec'

/** The toy's engine spec: `{ type: 'acme.dev/toy', steps: [['print', 'hello\n'], ['exit', 7]] }`. */
type Step = readonly [name: string, ...values: readonly unknown[]]

export const toyExecutor = (): Executor => ({
  engine: 'acme.dev/toy',
  inventory: async ({ signal } = {}) => {
    signal?.throwIfAborted()
    return { version: 'toy 1', devices: [] }
  },
  assess: async (task, { signal } = {}) => {
    signal?.throwIfAborted()
    return refusalsOf(task)
  },
  ...executions({ start }),
})

const refusalsOf = (task: Task): readonly Refusal[] => {
  if (task.engine.type !== 'acme.dev/toy') return [{ code: 'engine-unavailable', detail: `this executor runs acme.dev/toy, not ${task.engine.type}` }]
  const gpu = task.resources.gpu.count
  return [
    ...(stepsOf(task) === undefined ? [{ code: 'task-unsupported', detail: 'steps must be a list of lists that begin with a known name' } as const] : []),
    ...(task.network.mode === 'none' ? [] : [{ code: 'network-unsupported', detail: 'a toy has no network' } as const]),
    ...(gpu === 0 ? [] : [{ code: 'exceeds-node', detail: 'a toy has no GPU', resource: 'gpu', wanted: gpu, available: 0 } as const]),
  ]
}

// An extension's spec is anybody's JSON: it is checked here and nowhere else.
const stepsOf = ({ engine }: Task): readonly Step[] | undefined => {
  const steps: unknown = 'steps' in engine ? engine['steps'] : undefined
  const known = (step: unknown): step is Step => Array.isArray(step) && typeof step[0] === 'string' && Object.hasOwn(actions, step[0])
  return Array.isArray(steps) && steps.every(known) ? steps : undefined
}

/** Answers an outcome to end the run with. */
type Action = (run: Execution, values: readonly unknown[]) => Promise<Outcome | undefined> | Outcome | undefined

const actions: Readonly<Record<string, Action>> = {
  print: (run, [text]) => void run.write('stdout', Buffer.from(String(text))),
  error: (run, [text]) => void run.write('stderr', Buffer.from(String(text))),
  environment: (run, [name]) => void run.write('stdout', Buffer.from(run.request.env[String(name)] ?? '')),
  copy: async (run, [path]) => void run.write('stdout', await readFile(hostPath(run.request, String(path), false))),
  write: async (run, [path, text]) => {
    const host = hostPath(run.request, String(path), true)
    await mkdir(dirname(host), { recursive: true })
    await writeFile(host, String(text))
  },
  // Until it is told to end: the signal is how it is told.
  forever: async (run) => {
    await new Promise((resolve) => run.signal.addEventListener('abort', resolve))
    return undefined
  },
  beat: async (run, [path]) => {
    for (let beat = 0; !run.signal.aborted; beat++) {
      await writeFile(hostPath(run.request, String(path), true), String(beat))
      await sleep(5)
    }
    return undefined
  },
  exit: (_, [code]) => ({ exit: Number(code), usage: {}, facts: {} }),
  trap: (_, [why]) => ({ failure: { code: 'trap', detail: String(why) }, usage: {}, facts: {} }),
}

const start = async (run: Execution): Promise<Outcome> => {
  const steps = stepsOf(run.request.task)
  // From here on it can fail only as the program's fault, and `task.timeout` counts.
  run.running()
  if (steps === undefined) return { failure: { code: 'module-invalid', detail: 'these are no steps of a toy' }, usage: {}, facts: {} }
  for (const [name, ...values] of steps) {
    // Where it was told to end, what it answers is of no interest; that it has ended is.
    if (run.signal.aborted) break
    const outcome = await actions[name]?.(run, values)
    if (outcome !== undefined) return outcome
  }
  return { exit: 0, usage: {}, facts: {} }
}

/** Where a path of the guest is on the host. A real driver has a sandbox for that; a toy refuses whatever is not plainly inside. */
const hostPath = ({ mounts }: RunRequest, path: string, writable: boolean): string => {
  const mount = mounts.find(({ at, writable: allowed }) => path.startsWith(`${at}/`) && (allowed || !writable))
  if (mount === undefined || path.split('/').includes('..')) throw new Error(`no such path: ${path}`)
  return join(mount.path, path.slice(mount.at.length))
}
