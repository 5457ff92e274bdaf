import { access } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Executor } from '@skrei/executor'
import { directoryRecords, outputPath } from '@skrei/executor/directory-records'
import { type Execution, executions, type Outcome } from '@skrei/executor/executions'
import type { Refusal, Task, Usage } from '@skrei/job-spec'
import type { GuestJob, GuestResult } from './guest-job.ts'
import { type GuestProcess, killLeftover, ProcessEndedError } from './guest-process.ts'
import { type ProcessPool, processPool } from './process-pool.ts'

export interface WasmOptions {
  /** Where it keeps records and output of executions until they are removed. One executor a directory. Made if it is not there. */
  readonly directory: string
  /** How many processes wait ready for the next execution. Default: 1. Each takes some 90 MB. */
  readonly warm?: number
  /**
   * How many guests a process runs, one after the other, if each ends by itself. Default: 1, so that no guest meets anything of another's. More is many
   * times faster for short programs: a fresh process costs some 100 ms of CPU.
   */
  readonly runsPerProcess?: number
  /** Larger modules fail with `module-invalid`. Default: 64 MiB. */
  readonly maxModuleBytes?: number
  /** Milliseconds, from any start, for `usage.wallMs`. Default: the process's monotonic clock. */
  readonly now?: () => number
}

export type WasmExecutor = Executor & AsyncDisposable

type WasmTask = Extract<Task['engine'], { type: 'wasm' }>

const isWasm = (engine: Task['engine']): engine is WasmTask => engine.type === 'wasm'
const version = `wasi-preview1/1 v8/${process.versions.v8}`

/**
 * The engine `wasm`: runs modules for WASI preview 1, each in a process that is killed for real and that dies with this one. Equal modules, arguments,
 * inputs and seeds see equal time and randomness. Dispose of it to end its processes; what still runs then fails with the node's fault.
 *
 * Throws (from `run`) where the module's file is missing, or the process of the guest could not be started or broke down.
 */
export const wasmExecutor = (options: WasmOptions): WasmExecutor => {
  const pool = processPool({ warm: options.warm ?? 1, runsPerProcess: options.runsPerProcess ?? 1 })
  return { ...executorOn(pool, options), [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose]() }
}

/** For tests: processes that several executors share. */
export const executorOn = (pool: ProcessPool, options: Omit<WasmOptions, 'warm' | 'runsPerProcess'>): Executor => {
  const directory = resolve(options.directory)
  const now = options.now ?? (() => performance.now())
  const maxModuleBytes = options.maxModuleBytes ?? 64 * 2 ** 20

  const start = async (execution: Execution): Promise<Outcome> => {
    const { request, signal } = execution
    const { engine } = request.task
    if (!isWasm(engine)) throw new TypeError(`the wasm executor was given engine ${engine.type}`)
    const module = request.files['module']
    if (module === undefined) throw new TypeError('the request has no file for the slot "module"')
    await access(module)
    const unfit = [...(engine.args ?? []), ...Object.entries(request.env).flat()].find((text) => text.includes('\0'))
    if (unfit !== undefined) return { failure: { code: 'task-invalid', detail: 'an argument or a variable holds a NUL character' }, usage: {}, facts: {} }
    execution.tell({ type: 'progress', phase: 'start' })
    const guest = await pool.take()
    let clean = false
    try {
      if (signal.aborted) return { usage: {}, facts: {} }
      if (guest.startTime !== undefined) await execution.note({ pid: String(guest.pid), startTime: guest.startTime })
      const job = { ...jobOf(request.task, engine, execution, directory), module, maxModuleBytes }
      const outcome = await watched(execution, guest, job, now)
      // A trap leaves nothing behind either: the next guest has its own memory, files and clock.
      clean = outcome.failure?.code !== 'out-of-memory' && !signal.aborted
      return outcome
    } finally {
      // Whatever is wrong with giving it back is not the execution's concern.
      await pool.giveBack(guest, clean)
    }
  }

  return {
    engine: 'wasm',
    inventory: async ({ signal } = {}) => {
      signal?.throwIfAborted()
      return { version, devices: [] }
    },
    assess: async (task, { signal } = {}) => {
      signal?.throwIfAborted()
      const found = refusalsOf(task)
      if (found.length === 0) pool.fill()
      return found
    },
    ...executions({
      start,
      records: directoryRecords(directory),
      reap: async (_, { pid, startTime }) => {
        if (pid !== undefined && startTime !== undefined) await killLeftover(Number(pid), startTime)
      },
    }),
  }
}

const refusalsOf = (task: Task): readonly Refusal[] => {
  const { engine, network, resources } = task
  if (!isWasm(engine)) return [{ code: 'engine-unavailable', detail: `this executor runs wasm, not ${engine.type}` }]
  const unsupported = (['imports', 'profile', 'fuel'] as const).filter((field) => engine[field] !== undefined)
  return [
    ...unsupported.map((field): Refusal => ({ code: 'task-unsupported', detail: `engine.${field} is not supported` })),
    ...(network.mode === 'none'
      ? []
      : [{ code: 'network-unsupported', detail: `a WebAssembly program has no network, but the task asks for mode ${network.mode}` } as const]),
    ...(resources.gpu.count === 0
      ? []
      : [{ code: 'exceeds-node', detail: 'a WebAssembly program has no GPU', resource: 'gpu', wanted: resources.gpu.count, available: 0 } as const]),
  ]
}

const jobOf = (task: Task, engine: WasmTask, { request }: Execution, directory: string): Omit<GuestJob, 'module' | 'maxModuleBytes'> => {
  const stream = (name: 'stdout' | 'stderr') => ({ path: outputPath(directory, request.id, name), limit: task.limits[name] })
  return {
    args: ['module.wasm', ...(engine.args ?? [])],
    env: request.env,
    stdin: engine.stdin,
    mounts: request.mounts.map(({ path, at, writable }) => ({ path: resolve(path), at, writable })),
    seed: request.seed,
    limits: { bytes: task.resources.disk, entries: task.limits.files },
    memory: task.resources.memory,
    streams: { stdout: stream('stdout'), stderr: stream('stderr') },
  }
}

/** Runs the job in the process, which is dead when this returns for an aborted signal. */
const watched = async (execution: Execution, guest: GuestProcess, job: GuestJob, now: () => number): Promise<Outcome> => {
  const { signal } = execution
  const began = now()
  const cpuBefore = guest.cpuMs()
  let cpuAfter: number | undefined
  const aborted = () => {
    cpuAfter = guest.cpuMs()
    void guest.kill()
  }
  signal.addEventListener('abort', aborted)
  try {
    execution.running()
    if (signal.aborted) aborted()
    const { result, cpuMs } = await guest.run(job, () => execution.wrote())
    return outcomeOf(result, { wallMs: now() - began, cpuMs })
  } catch (error) {
    const usage = { wallMs: now() - began, ...(cpuBefore !== undefined && cpuAfter !== undefined && { cpuMs: cpuAfter - cpuBefore }) }
    if (signal.aborted) {
      await guest.kill()
      return { usage, facts: { engine: version } }
    }
    if (error instanceof ProcessEndedError && error.outOfMemory) {
      return { failure: { code: 'out-of-memory', detail: 'the engine ran out of memory' }, usage, facts: { engine: version } }
    }
    throw error
  } finally {
    signal.removeEventListener('abort', aborted)
  }
}

const outcomeOf = (result: GuestResult, spent: Usage): Outcome => {
  const { ending } = result
  if (ending.type === 'fault') throw new Error(`the guest's process failed: ${ending.message}`)
  const usage = { ...spent, outputBytes: result.outputBytes, ...(result.memoryPeak !== undefined && { memoryPeak: result.memoryPeak }) }
  const facts = {
    engine: version,
    ...(result.moduleSha256 !== undefined && { moduleSha256: result.moduleSha256 }),
    ...Object.fromEntries(result.truncated.map((stream) => [`${stream}Truncated`, 'true'])),
  }
  if (ending.type === 'exit') return { exit: ending.code, usage, facts }
  return { failure: { code: ending.code, detail: ending.detail.slice(0, 4096) }, usage, facts }
}
