import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { ApiError } from '../api-error.ts'
import { errorOf, notSkrei, requireType, unreachable } from './answers.ts'
import type { Tries } from './retries.ts'

/** The longest event that is taken, in UTF-16 units: a stream without line breaks must not fill the memory. */
const maxEvent = 16 * 2 ** 20

export interface EventsFrom {
  readonly url: string
  /** Opens the stream after an event's id (undefined: from where the caller began). */
  readonly open: (lastId: string | undefined) => Promise<Response>
  readonly tries: Tries
  readonly signal: AbortSignal | undefined
}

export interface ServerEvent {
  readonly event: string
  readonly data: unknown
}

/** The events of one connection. Returns when it ends. */
async function* eventsOf(response: Response, url: string, tries: Tries): AsyncGenerator<EventSourceMessage, void, undefined> {
  await requireType(response, url, 'text/event-stream')
  const reader = response.body?.getReader()
  if (reader === undefined) return
  let events: EventSourceMessage[] = []
  let held = 0
  const parser = createParser({ onEvent: (event) => events.push(event), onRetry: (milliseconds) => tries.delay(milliseconds) })
  const decoder = new TextDecoder()
  try {
    while (true) {
      const next = await reader.read().catch((error) => {
        throw unreachable(url, error)
      })
      if (next.done) return
      held += next.value.length
      parser.feed(decoder.decode(next.value, { stream: true }))
      if (events.length > 0) held = 0
      if (held > maxEvent) throw notSkrei(url, `an event has more than ${maxEvent} bytes`)
      const ready = events
      events = []
      yield* ready
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

const dataOf = ({ data }: EventSourceMessage, url: string): unknown => {
  try {
    return JSON.parse(data)
  } catch {
    throw notSkrei(url, 'an event is not JSON')
  }
}

/** Events until the one that is called `end`, over as many connections as it takes, each once. Rejects with what an event `error` says. */
export async function* resumedEvents({ url, open, tries, signal }: EventsFrom): AsyncGenerator<ServerEvent, void, undefined> {
  let lastId: string | undefined
  while (true) {
    try {
      signal?.throwIfAborted()
      for await (const message of eventsOf(await open(lastId), url, tries)) {
        if (message.event === 'end') return
        const data = dataOf(message, url)
        if (message.event === 'error') throw errorOf(data, 0) ?? notSkrei(url, 'it tells of an error that is none of ours')
        yield { event: message.event ?? 'message', data }
        // Only now: what the caller did not take comes again.
        if (message.id !== undefined) lastId = message.id
        tries.progressed()
      }
      throw new ApiError('unreachable', `the stream from ${url} ended before its end`)
    } catch (error) {
      await tries.next(error, signal)
    }
  }
}
