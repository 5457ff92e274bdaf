import { begun } from '../begun.ts'
import type { Call } from '../call.ts'
import { asApiError, errorBody, isAbort } from '../error-body.ts'
import { comeAgain, eventStream, frame } from '../event-stream.ts'
import type { ApiAnswer, ApiRequest } from '../exchange.ts'
import { findJob } from '../find-job.ts'
import type { Progress } from '../schema/history.ts'
import type { LogChunk, LogEvent, LogPosition } from '../schema/log.ts'

const eventType = 'text/event-stream'
const headers = { 'content-type': `${eventType}; charset=utf-8`, 'cache-control': 'no-store', 'x-accel-buffering': 'no' }

/** Shards of which a reader that is slow has a hint waiting. */
const maxHints = 256

/** Aborted when the request's client is gone, or by `abort`, so that the service learns that nobody listens however the stream ended. */
const listening = (request: ApiRequest): AbortController => {
  const controller = new AbortController()
  if (request.signal.aborted) controller.abort(request.signal.reason)
  else request.signal.addEventListener('abort', () => controller.abort(request.signal.reason), { once: true })
  return controller
}

/** What is told last of a stream that failed. One that was only broken off, since the node stops, is to be asked for again. */
const failed = (error: unknown, fault: (error: unknown) => void): string => {
  if (isAbort(error) || asApiError(error)?.code === 'draining') return comeAgain
  fault(error)
  return frame('error', errorBody(error))
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const logEvent = ({ bytes, execution, node, stream, offset }: LogChunk): LogEvent => {
  const head = { execution, node, stream, offset }
  try {
    return { ...head, text: utf8.decode(bytes) }
  } catch {
    return { ...head, base64: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64') }
  }
}

const logFrames = async function* (chunks: AsyncIterable<LogChunk>, from: LogPosition | undefined): AsyncGenerator<string, void, undefined> {
  let had = from ?? { execution: '', stdout: 0, stderr: 0 }
  for await (const chunk of chunks) {
    if (chunk.execution !== had.execution) had = { execution: chunk.execution, stdout: 0, stderr: 0 }
    had = { ...had, [chunk.stream]: chunk.offset + chunk.bytes.length }
    yield frame('log', logEvent(chunk), `${had.execution}:${had.stdout}:${had.stderr}`)
  }
}

const logBytes = async function* (chunks: AsyncIterable<LogChunk>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { bytes } of chunks) if (bytes.length > 0) yield bytes
}

export const streamHandlers = {
  events: ({ request, service, limits, streams, closing, fault, id, query, headers: { 'last-event-id': lastId } }: Call<'events'>): ApiAnswer => {
    const job = findJob(service, id)
    const after = lastId ?? query.after
    const close = streams.open()
    const listener = listening(request)
    const hints = new Map<number, Progress>()
    let wake = (): void => undefined
    const progress = service.progress(job.id, (hint) => {
      if (!hints.has(hint.shard) && hints.size >= maxHints) return
      hints.set(hint.shard, hint)
      wake()
    })
    const frames = async function* (): AsyncGenerator<string, void, undefined> {
      for await (const item of service.history(job.id, { ...(after !== undefined && { after }), follow: query.follow, signal: listener.signal })) {
        yield frame('history', item, String(item.sequence))
      }
    }
    return {
      status: 200,
      headers,
      body: eventStream({
        source: frames(),
        hints: () => {
          const text = [...hints.values()].map((hint) => frame('progress', hint)).join('')
          hints.clear()
          return text
        },
        onHint: (listenerOfHints) => {
          wake = listenerOfHints
        },
        last: (error) => {
          if (error !== undefined) return failed(error, fault)
          const last = service.job(job.id) ?? job
          // Who follows an open job was broken off; who does not has all that there is.
          return last.open && query.follow ? comeAgain : frame('end', last)
        },
        heartbeat: limits.heartbeat,
        closing,
      }),
      ended: () => {
        close()
        progress[Symbol.dispose]()
        listener.abort()
      },
    }
  },

  logs: async (call: Call<'logs'>): Promise<ApiAnswer> => {
    const { request, service, limits, streams, closing, fault, id, query, headers: given } = call
    const job = findJob(service, id)
    const from = given['last-event-id'] ?? query.from
    const asEvents = (request.header('accept') ?? '').toLowerCase().includes(eventType)
    const stream = query.stream ?? (asEvents ? undefined : 'stdout')
    const close = streams.open()
    const listener = listening(request)
    const ended = () => {
      close()
      listener.abort()
    }
    try {
      const chunks = service.logs(job.id, {
        shard: query.shard,
        follow: query.follow,
        signal: listener.signal,
        ...(stream !== undefined && { stream }),
        ...(from !== undefined && { from }),
      })
      if (asEvents) {
        const last = (error: unknown) => (error === undefined ? frame('end', {}) : failed(error, fault))
        return { status: 200, headers, body: eventStream({ source: logFrames(chunks, from), last, heartbeat: limits.heartbeat, closing }), ended }
      }
      if (closing.aborted) listener.abort(closing.reason)
      closing.addEventListener('abort', () => listener.abort(closing.reason), { once: true, signal: listener.signal })
      return { status: 200, headers: { 'content-type': 'application/octet-stream', 'cache-control': 'no-store' }, body: await begun(logBytes(chunks)), ended }
    } catch (error) {
      ended()
      throw error
    }
  },
}
