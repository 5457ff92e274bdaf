import type { Task } from '@skrei/job-spec'
import type { AbortOptions, Executor, RunEvent, RunExit, RunRequest } from './index.ts'
import { type ExecutionRecord, type ExecutionRecords, memoryRecords, type OutputLog, type StreamName } from './records.ts'

/** What a driver's `start` is given: the request, the order to end, and where to say what happens. */
export interface Execution {
  readonly request: RunRequest
  /** Aborted when the program must end now: kill it, and settle `start` once it is dead. What `start` then returns keeps its usage and facts only. */
  readonly signal: AbortSignal
  /**
   * The program itself runs from now on, or has run for so many milliseconds where it was taken up again: says so to who listens, and starts
   * `task.timeout`. Preparation before it is the driver's to bound.
   */
  running(elapsed?: number): void
  /** Something happened that is worth telling who listens now. Who attaches later hears the newest progress only. */
  tell(event: Extract<RunEvent, { type: 'progress' | 'evidence' }>): void
  /** Appends output, cut at `task.limits`; what was cut is said in the exit's facts. */
  write(stream: StreamName, bytes: Uint8Array): void
  /** How many bytes of a stream are kept so far, those of a former process of this node included. */
  written(stream: StreamName): number
  /** For a driver whose program writes its output into the record's log by itself: the log has grown. */
  wrote(): void
  /** Kept in the record of this execution before it goes on: what is needed to find its process after a crash. */
  note(note: Readonly<Record<string, string>>): Promise<void>
}

/** What an execution came to. `exit` alone is filled up to `exit-nonzero` where it is not 0. */
export type Outcome = Omit<RunExit, 'type'>

/** What `start` and `resume` answer for a program that goes on without this process: nothing is recorded, so that a later one can take it up again. */
export type Left = 'left'

export interface ExecutionsOptions {
  /**
   * Runs one program to its end. Throws where the fault is the node's: before `running` the id is then forgotten and may run again, after it the
   * id has ended with `node-fault`, as its outputs may hold anything. Never called twice for an id that is not removed.
   */
  readonly start: (execution: Execution) => Promise<Outcome | Left>
  /**
   * Takes up what a former process of this node started under this id, from what it noted, and follows it to its end; `undefined` where nothing of it is
   * left, and the id then ends with `node-restarted`. Where it throws before `running`, a later `run` tries again. Default: nothing outlives the process,
   * so what `reap` has ended is all that there can be.
   */
  readonly resume?: (execution: Execution, note: Readonly<Record<string, string>>) => Promise<Outcome | Left | undefined>
  /** Where records and output are kept. Default: in memory, which forgets with the process. */
  readonly records?: ExecutionRecords
  /** Resolves after so many milliseconds; rejects once the signal is aborted. Default: timers. */
  readonly wait?: (milliseconds: number, options: { readonly signal: AbortSignal }) => Promise<void>
  /** What an execution came to is on record: what the driver kept to learn it, should the process die, may go. */
  readonly recorded?: (id: string) => void
  /** Makes sure that what a former process of this node started under this id, and noted, is dead. Default: nothing outlives the process. */
  readonly reap?: (id: string, note: Readonly<Record<string, string>>) => Promise<void>
}

type Lifecycle = Pick<Executor, 'run' | 'stop' | 'leftovers' | 'remove'>
type Told = Extract<RunEvent, { type: 'progress' | 'evidence' }>
type Ending = { readonly code: 'timeout' | 'cancelled'; readonly detail: string }

interface Live {
  readonly id: string
  readonly limits: Task['limits']
  readonly controller: AbortController
  readonly log: OutputLog
  readonly cut: Set<StreamName>
  readonly listeners: Set<Listener>
  progress?: Told
  note: Readonly<Record<string, string>>
  running: boolean
  stopped: boolean
  /** Begun by a former process of this node. */
  resumed: boolean
  ending?: Ending
  /** What it came to, which is not yet on record. */
  outcome?: RunExit
  /** What it came to, on record. */
  exit?: RunExit
  fault?: { readonly error: unknown }
  saving: Promise<void>
  done: Promise<void>
}
interface Listener {
  readonly told: Told[]
  wake: () => void
}

const restarted: RunExit = { type: 'exit', failure: { code: 'node-restarted', detail: 'the node restarted while this ran' }, usage: {}, facts: {} }
/** More than this many untaken progress and evidence events of one listener, and its oldest are dropped. */
const toldLimit = 256
const chunkBytes = 65_536
/** Why nobody waits for an execution any more. */
const over = new Error('the execution has ended')
const streams = ['stdout', 'stderr'] as const

/**
 * The part of an executor that is the same for every engine: attaching by id, repeating an exit, tombstones, leftovers, removal, the timeout,
 * and the cutting of output. The driver brings `start`.
 */
export const executions = (options: ExecutionsOptions): Lifecycle => {
  const records = options.records ?? memoryRecords()
  const wait = options.wait ?? timerWait
  const table = new Map<string, Live>()
  const locks = new Map<string, Promise<void>>()

  /** One change of an id's record at a time. */
  const exclusive = async <T>(id: string, work: () => Promise<T>): Promise<T> => {
    const before = locks.get(id) ?? Promise.resolve()
    const result = before.then(work)
    const after = result.then(
      () => undefined,
      () => undefined,
    )
    locks.set(id, after)
    try {
      return await result
    } finally {
      if (locks.get(id) === after) locks.delete(id)
    }
  }

  /** Writes the state as it is when its turn comes, so that of two writes that meet the later one knows both. */
  const save = (live: Live): Promise<void> => {
    const write = async () => {
      const exit = live.outcome
      if (live.stopped) return records.put(live.id, { state: 'stopped', note: live.note, ...(exit && { exit }) })
      if (live.fault !== undefined && exit === undefined) return records.delete(live.id)
      return records.put(live.id, exit === undefined ? { state: 'started', note: live.note } : { state: 'ended', exit })
    }
    live.saving = live.saving.then(write, write)
    return live.saving
  }

  const end = (live: Live, ending: Ending): void => {
    if (live.exit !== undefined || live.fault !== undefined) return
    live.ending ??= ending
    live.controller.abort(new Error(ending.detail))
  }

  /** For what no process of ours watches any more: it may have been left by one that died. */
  const reap = async (id: string, record: ExecutionRecord): Promise<void> => {
    if (record.state === 'started') await options.reap?.(id, record.note)
    else if (record.state === 'stopped' && record.exit === undefined && record.note !== undefined) await options.reap?.(id, record.note)
  }

  const execution = (request: RunRequest, live: Live): Execution => {
    const tell = (event: Told): void => {
      if (event.type === 'progress') live.progress = event
      for (const listener of live.listeners) {
        listener.told.push(event)
        if (listener.told.length > toldLimit) listener.told.shift()
        listener.wake()
      }
    }
    return {
      request,
      signal: live.controller.signal,
      tell,
      running: (elapsed = 0) => {
        if (live.running) return
        live.running = true
        tell({ type: 'progress', phase: 'run' })
        const limit = request.task.timeout
        wait(Math.max(0, limit - elapsed), { signal: live.controller.signal }).then(
          () => end(live, { code: 'timeout', detail: `ran longer than ${limit} ms and was killed` }),
          () => undefined,
        )
      },
      write: (stream, bytes) => {
        const room = live.limits[stream] - live.log.length(stream)
        if (bytes.length > room) live.cut.add(stream)
        if (room > 0 && bytes.length > 0) live.log.append(stream, bytes.length > room ? bytes.subarray(0, room) : bytes)
        wake(live)
      },
      written: (stream) => live.log.length(stream),
      wrote: () => wake(live),
      note: (note) => {
        live.note = note
        return save(live)
      },
    }
  }

  const finish = async (request: RunRequest, live: Live, work: () => Promise<Outcome | Left | undefined>): Promise<void> => {
    try {
      const outcome = await work()
      if (outcome === 'left') {
        live.fault = { error: new Error('the executor was disposed of while this ran: it goes on, and is taken up by the next one') }
        return
      }
      const exit = outcome === undefined ? restarted : exitOf(outcome, live)
      live.outcome = exit
      await save(live)
      live.exit = exit
      options.recorded?.(request.id)
    } catch (error) {
      live.fault = { error }
      if (live.resumed && !live.running) return
      if (live.running) live.outcome = { type: 'exit', failure: { code: 'node-fault', detail: 'the node failed while this ran' }, usage: {}, facts: {} }
      // The first error is the one that matters.
      await save(live).catch(() => undefined)
    } finally {
      // Ends the wait for the timeout. Without a reason one would be made, with the stack of this place.
      live.controller.abort(over)
      table.delete(request.id)
      wake(live)
    }
  }

  const liveOf = async (request: RunRequest): Promise<Live> => {
    const running = table.get(request.id)
    if (running !== undefined) return running
    return exclusive(request.id, async () => {
      const begun = table.get(request.id)
      if (begun !== undefined) return begun
      const record = await records.get(request.id)
      const live: Live = {
        id: request.id,
        limits: request.task.limits,
        controller: new AbortController(),
        log: await records.log(request.id),
        cut: new Set(),
        listeners: new Set(),
        note: {},
        running: false,
        stopped: false,
        resumed: false,
        saving: Promise.resolve(),
        done: Promise.resolve(),
      }
      if (record === undefined) {
        await save(live)
        table.set(request.id, live)
        live.done = finish(request, live, () => options.start(execution(request, live)))
      } else if (record.state === 'stopped') {
        live.exit = { type: 'exit', failure: { code: 'cancelled', detail: 'stopped' }, usage: record.exit?.usage ?? {}, facts: record.exit?.facts ?? {} }
      } else if (record.state === 'ended') {
        live.exit = record.exit
      } else if (options.resume !== undefined) {
        live.note = record.note
        live.resumed = true
        table.set(request.id, live)
        const { resume } = options
        live.done = finish(request, live, () => resume(execution(request, live), record.note))
      } else {
        await reap(request.id, record)
        live.exit = restarted
        await records.put(request.id, { state: 'ended', exit: live.exit })
      }
      return live
    })
  }

  async function* follow(live: Live, from: RunRequest['from'], signal: AbortSignal | undefined): AsyncGenerator<RunEvent> {
    const offsets = { stdout: from.stdout, stderr: from.stderr }
    const listener: Listener = { told: live.progress && live.exit === undefined ? [live.progress] : [], wake: () => undefined }
    const aborted = () => end(live, { code: 'cancelled', detail: 'aborted' })
    live.listeners.add(listener)
    signal?.addEventListener('abort', aborted)
    if (signal?.aborted) aborted()
    try {
      for (;;) {
        const changed = new Promise<void>((resolve) => (listener.wake = resolve))
        const over = live.exit !== undefined || live.fault !== undefined
        if (signal?.aborted) {
          await live.done
          throw signal.reason
        }
        for (let event = listener.told.shift(); event !== undefined; event = listener.told.shift()) yield event
        let moved = false
        for (const stream of streams) {
          const available = Math.min(live.log.length(stream), live.limits[stream]) - offsets[stream]
          if (available <= 0) continue
          const bytes = await live.log.read(stream, offsets[stream], Math.min(available, chunkBytes))
          if (bytes.length === 0) continue
          const offset = offsets[stream]
          offsets[stream] += bytes.length
          moved = true
          yield { type: 'output', stream, offset, bytes }
        }
        if (moved) continue
        if (over && live.fault !== undefined) throw live.fault.error
        if (over && live.exit !== undefined) {
          yield live.exit
          return
        }
        if (!over && listener.told.length === 0 && !signal?.aborted) await changed
      }
    } finally {
      live.listeners.delete(listener)
      signal?.removeEventListener('abort', aborted)
    }
  }

  return {
    async *run(request, { signal }) {
      signal?.throwIfAborted()
      yield* follow(await liveOf(request), request.from, signal)
    },

    stop: async (id, stopOptions) => {
      stopOptions?.signal?.throwIfAborted()
      await exclusive(id, async () => {
        const live = table.get(id)
        if (live !== undefined) {
          live.stopped = true
          try {
            await save(live)
          } finally {
            // It dies also where that cannot be written down.
            end(live, { code: 'cancelled', detail: 'stopped' })
            await live.done
          }
          return
        }
        const record = await records.get(id)
        if (record === undefined) await records.put(id, { state: 'stopped' })
        else if (record.state === 'ended') await records.put(id, { state: 'stopped', exit: record.exit })
        else if (record.state === 'started') await records.put(id, { state: 'stopped', note: record.note })
        if (record !== undefined) await reap(id, record)
      })
    },

    async *leftovers(leftoverOptions?: AbortOptions) {
      for await (const id of records.ids()) {
        leftoverOptions?.signal?.throwIfAborted()
        yield id
      }
    },

    remove: async (id, removeOptions) => {
      removeOptions?.signal?.throwIfAborted()
      await exclusive(id, async () => {
        const live = table.get(id)
        if (live !== undefined) {
          end(live, { code: 'cancelled', detail: 'removed' })
          await live.done
        } else {
          const record = await records.get(id)
          if (record !== undefined) await reap(id, record)
        }
        await records.delete(id)
      })
    },
  }
}

const wake = (live: Live): void => {
  for (const listener of live.listeners) listener.wake()
}

const exitOf = (outcome: Outcome, live: Live): RunExit => {
  const facts = { ...outcome.facts, ...Object.fromEntries([...live.cut].map((stream) => [`${stream}Truncated`, 'true'])) }
  if (live.ending !== undefined) return { type: 'exit', failure: live.ending, usage: outcome.usage, facts }
  const { exit, failure } = outcome
  if (failure !== undefined) return { type: 'exit', ...(exit !== undefined && { exit }), failure, usage: outcome.usage, facts }
  if (exit !== undefined && exit !== 0) {
    return { type: 'exit', exit, failure: { code: 'exit-nonzero', detail: `exit code ${exit}` }, usage: outcome.usage, facts }
  }
  return { type: 'exit', exit: exit ?? 0, usage: outcome.usage, facts }
}

/** What a timer takes at most; longer waits are several. */
const longestTimer = 2 ** 31 - 1

/** `wait` on the timers of the process. */
export const timerWait = async (milliseconds: number, { signal }: { readonly signal: AbortSignal }): Promise<void> => {
  for (let left = milliseconds; left > 0; left -= longestTimer) {
    await new Promise<void>((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      const aborted = () => {
        clearTimeout(timer)
        reject(signal.reason)
      }
      const timer = setTimeout(
        () => {
          signal.removeEventListener('abort', aborted)
          resolve()
        },
        Math.min(left, longestTimer),
      )
      signal.addEventListener('abort', aborted, { once: true })
    })
  }
}

export { type ExecutionRecord, type ExecutionRecords, memoryRecords, type OutputLog, type StreamName } from './records.ts'
