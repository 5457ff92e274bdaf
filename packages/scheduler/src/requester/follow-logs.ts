import { encodeLogRequest, type LogEnd, logFrames, logsProtocol } from '@skrei/protocol'
import type { StateStore } from '@skrei/state-store'
import type { Publisher } from '@skrei/storage'
import type { Clock, Transport } from '@skrei/transport'
import type { LogChunk, LogOptions } from '../options.ts'
import { SchedulerError } from '../scheduler-error.ts'
import { unlessAborted } from '../unless-aborted.ts'
import { shardId } from './facts.ts'
import { type LogSource, logPlace } from './log-source.ts'
import type { ShardNews } from './shard-news.ts'
import type { Specs } from './specs.ts'

export interface FollowLogsWorld {
  readonly network: string
  readonly store: StateStore
  readonly specs: Specs
  readonly clock: Clock
  readonly transport: Transport
  readonly publishers: ReadonlyMap<string, Publisher>
  readonly news: ShardNews
  /** The node's own end. */
  readonly stopping: AbortSignal
}

type Stream = 'stdout' | 'stderr'
type At<Place extends LogSource['at']> = Extract<LogSource, { readonly at: Place }>

/** What is read without waiting for more must come within this; milliseconds. */
const patience = 30_000
/** How long the rest of what is read live may take to come, once the execution has ended and nothing of it is published. */
const grace = 5000
/** Between two tries to reach a node. */
const firstPause = 500
const longestPause = 10_000

/** How far it has come. */
interface Reading {
  execution: string
  stdout: number
  stderr: number
  /** Whether anything of the execution was given, or its node said that there is nothing. */
  had: boolean
}

/** The streams of a shard's executions, each part once and in order: from the node that runs it, then from where they were published. */
export async function* followLogs(world: FollowLogsWorld, jobId: string, options: LogOptions): AsyncGenerator<LogChunk, void, undefined> {
  const { shard = 0, follow = false, from } = options
  const streams: readonly Stream[] = options.stream === undefined ? ['stdout', 'stderr'] : [options.stream]
  for (const stream of streams)
    if (from !== undefined && !(Number.isSafeInteger(from[stream]) && from[stream] >= 0))
      throw new RangeError(`from.${stream} is ${from[stream]}: a number of bytes`)
  const signal = options.signal ? AbortSignal.any([options.signal, world.stopping]) : world.stopping
  const throwIfOver = (): void => {
    options.signal?.throwIfAborted()
    if (world.stopping.aborted) throw new SchedulerError('stopped', `the node stopped while the logs of job ${jobId} were read`)
  }
  throwIfOver()
  const limits = world.store.read((reader) => {
    logPlace(reader, jobId, shard)
    return world.specs.get(reader, jobId).resolved.limits
  })
  const reading: Reading = { execution: '', stdout: 0, stderr: 0, had: from !== undefined && from.stdout + from.stderr > 0, ...from }
  const context: ReadingContext = { ...world, jobId, shard, streams, limits, reading, follow, signal }
  let pause = firstPause
  /** All of this execution was read. */
  let complete = ''
  for (;;) {
    throwIfOver()
    // Listens before it looks: what happens in between is not missed.
    using news = world.news.next(shardId(jobId, shard), signal)
    const { isFinal, source } = world.store.read((reader) => logPlace(reader, jobId, shard))
    if (source !== undefined && source.execution !== reading.execution) {
      Object.assign(reading, { execution: source.execution, stdout: 0, stderr: 0, had: false })
      pause = firstPause
    }
    if (source?.at === 'node') {
      const before = reading.stdout + reading.stderr
      const end = yield* live(context, source)
      throwIfOver()
      if (end === 'over') reading.had = true
      const isFurther = reading.stdout + reading.stderr > before
      if (!follow && (end === 'now' || end === 'over')) return
      if (!follow && !(end === 'again' && isFurther))
        throw unavailable(`${source.node}, which runs it, does not give its logs now: ${end ?? 'no proper answer'}`)
      if (isFurther) pause = firstPause
      // Either it is soon known to be over, or the node is asked again.
      await soonest(news.promise, end === 'over' ? longestPause : pause, world.clock)
      pause = Math.min(longestPause, 2 * pause)
      continue
    }
    if (source !== undefined && source.execution !== complete) {
      if (source.at === 'publisher') {
        yield* published(context, source)
        throwIfOver()
      } else if (source.isLost && !reading.had && (isFinal || !follow))
        throw new SchedulerError('logs-gone', `nothing is left of what ${source.execution} wrote`)
      complete = source.execution
    }
    if (!follow || isFinal) return
    await news.promise
  }
}

interface ReadingContext extends FollowLogsWorld {
  readonly jobId: string
  readonly shard: number
  readonly streams: readonly Stream[]
  /** Of the job: more of a stream is nobody's. */
  readonly limits: { readonly stdout: number; readonly stderr: number }
  readonly reading: Reading
  readonly follow: boolean
  readonly signal: AbortSignal
}

const unavailable = (what: string, cause?: unknown): SchedulerError => new SchedulerError('logs-unavailable', what, { cause })

/** Returns how the node ended it; undefined where it was cut off, or is no answer. */
async function* live(context: ReadingContext, { execution, node }: At<'node'>): AsyncGenerator<LogChunk, LogEnd | undefined> {
  const { network, clock, transport, streams, limits, reading, follow } = context
  const ending = new AbortController()
  const signal = AbortSignal.any([context.signal, ending.signal])
  const end = (): void => ending.abort(new DOMException('nothing more comes of these logs', 'AbortError'))
  using _watch = whenOver(context, execution, ending.signal, end)
  const from = Object.fromEntries(streams.map((stream) => [stream, reading[stream]]))
  const body = encodeLogRequest({ network, execution, from, follow })
  try {
    const frames = logFrames(transport.query(node, logsProtocol, body, { signal }))
    for await (const frame of follow ? frames : inTime(frames, clock, end)) {
      if ('end' in frame) return frame.end
      const { stream, bytes } = frame
      const offset = reading[stream]
      if (!streams.includes(stream) || offset + bytes.length > limits[stream]) return undefined
      reading[stream] += bytes.length
      reading.had = true
      yield { execution, node, stream, offset, bytes }
    }
  } catch {
    // The node cannot be reached, or says what is no answer: the execution may be elsewhere soon.
  } finally {
    end()
  }
  return undefined
}

/** Once the execution is over, its node is not waited for: at once where the rest was published, after a moment where it was not. */
const whenOver = (context: ReadingContext, execution: string, ended: AbortSignal, end: () => void): Disposable => {
  const { store, news, clock, jobId, shard, follow, signal } = context
  let alarm: Disposable | undefined
  const watch = async (): Promise<void> => {
    while (!ended.aborted && !signal.aborted) {
      using next = news.next(shardId(jobId, shard), AbortSignal.any([signal, ended]))
      const { source } = store.read((reader) => logPlace(reader, jobId, shard))
      if (source?.execution !== execution || source.at === 'publisher') return end()
      if (source.at === 'nowhere') {
        alarm = clock.at(clock.now() + grace, end)
        return
      }
      await next.promise
    }
  }
  // A job that is forgotten meanwhile is over as well.
  if (follow) watch().catch(end)
  return { [Symbol.dispose]: () => alarm?.[Symbol.dispose]() }
}

async function* published(context: ReadingContext, { execution, node, reference, path }: At<'publisher'>): AsyncGenerator<LogChunk> {
  const { clock, publishers, streams, limits, reading } = context
  const publisher = publishers.get(reference.type)
  if (publisher === undefined) throw new SchedulerError('logs-gone', `this node has no publisher ${reference.type}, with which the logs were published`)
  const ending = new AbortController()
  const signal = AbortSignal.any([context.signal, ending.signal])
  const end = (): void => ending.abort(new DOMException('the logs were not fetched in time', 'TimeoutError'))
  try {
    for (const stream of streams) {
      const name = `${path}${stream}`
      for await (const file of inTime(publisher.read(reference, { path: name, signal }), clock, end)) {
        // What a node published is anything: a directory of this name, or more than the job allows.
        if (file.path !== name) break
        for await (const all of inTime(file.content({ from: reading[stream], signal }), clock, end)) {
          const offset = reading[stream]
          const bytes = all.subarray(0, Math.max(0, limits[stream] - offset))
          if (bytes.length === 0) break
          reading[stream] += bytes.length
          reading.had = true
          yield { execution, node, stream, offset, bytes }
        }
        break
      }
    }
  } catch (error) {
    if (context.signal.aborted) return
    throw unavailable(`what was published of ${execution} could not be read`, error)
  }
}

/** Items that come in time: else `late` is called, and it throws. What does not heed its signal is left behind. */
async function* inTime<T>(items: AsyncIterable<T>, clock: Clock, late: () => void): AsyncGenerator<T> {
  const source = items[Symbol.asyncIterator]()
  try {
    for (;;) {
      const ending = new AbortController()
      using _alarm = clock.at(clock.now() + patience, () => {
        late()
        ending.abort(new DOMException('it did not come in time', 'TimeoutError'))
      })
      const next = await unlessAborted(source.next(), ending.signal)
      if (next.done) return
      _alarm[Symbol.dispose]()
      yield next.value
    }
  } finally {
    void source.return?.()?.catch(() => {})
  }
}

const soonest = async (news: Promise<void>, within: number, clock: Clock): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>()
  using _alarm = clock.at(clock.now() + within, resolve)
  await Promise.race([news, promise])
}
