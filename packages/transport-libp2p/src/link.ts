import type { Rejection } from '@skrei/transport'
import { askedQueries } from './asked-queries.ts'
import type { Channel } from './channel.ts'
import { FrameError, type FrameFields, frameFields, frameReader, frameWriter, kinds } from './frame.ts'
import { longestFrame } from './limits.ts'
import { answerCode, failure, type LinkCore, type LinkHost, longest, sendBare } from './link-core.ts'
import { linkSends } from './sends.ts'
import { servedQueries } from './served-queries.ts'

/** What two nodes say to each other over one stream, seen from one of them. It takes frames before its channel is there. */
export interface Link {
  readonly peer: string
  readonly state: 'opening' | 'open' | 'closed'
  /** `elapsed` of the clock when the peer was heard last. */
  readonly heard: number
  attach(channel: Channel): void
  send(messages: readonly Uint8Array[], bytes: number, signal: AbortSignal | undefined): Promise<readonly Rejection[]>
  hint(bytes: Uint8Array): void
  query(protocol: string, body: Uint8Array, signal: AbortSignal | undefined): AsyncIterable<Uint8Array>
  publish(topic: string, bytes: Uint8Array): void
  /** Ends waits that are over, and finds out whether the peer is still there. Called now and then. */
  sweep(elapsed: number): void
  /** Fails what waits; what was written may still leave, unless the link is to end `now`. */
  close(error: Error, now?: boolean): void
}

export interface LinkEvents {
  closed(link: Link): void
  roundTrip(milliseconds: number): void
}

/** Hints and publications are dropped, and answers to queries wait, while so much waits to leave. */
const enoughWaiting = 256 * 1024

export const openLink = (peer: string, host: LinkHost, events: LinkEvents): Link => {
  const { clock, limits } = host
  const out = frameWriter()
  let state: Link['state'] = 'opening'
  let channel: Channel | undefined
  let scheduled = false
  let blocked = false
  let lastId = 0
  /** The last id that the peer gave to a send or query: ids only rise. */
  let theirId = 0
  let heard = clock.elapsed()
  let partialSince = 0
  let counted = 0
  let ping: { readonly id: number; readonly at: number } | undefined
  let pinged = 0
  let pings = 0

  const flush = (): void => {
    scheduled = false
    if (state !== 'open' || blocked || out.length === 0) return
    try {
      if (channel?.write(out.take()) === false) blocked = true
      else served.wake()
    } catch (error) {
      end(failure('unreachable', `the stream to ${peer} is closed`, error), (gone) => gone.abort(error as Error))
    }
  }

  const core: LinkCore = {
    peer,
    host,
    out,
    working: 0,
    get closed() {
      return state === 'closed'
    },
    flushSoon() {
      if (scheduled || state !== 'open' || blocked) return
      scheduled = true
      clock.soon(flush)
    },
    hasRoom: () => !blocked && out.length < enoughWaiting,
    nextId() {
      lastId += 1
      return lastId
    },
  }
  const sends = linkSends(core)
  const asked = askedQueries(core)
  const served = servedQueries(core)

  const count = (held: number): void => {
    host.partialBytes += held - counted
    counted = held
  }

  const end = (error: Error, leave: (channel: Channel) => void): void => {
    if (state === 'closed') return
    state = 'closed'
    reader.stop()
    count(0)
    out.take()
    served.stop()
    sends.fail(error)
    asked.fail(error)
    if (channel) leave(channel)
    events.closed(link)
  }

  /** The peer does what no honest one does, or is gone. */
  const breakOff = (error: Error, dead = false): void => {
    if (state === 'closed') return
    host.fault(error, peer, 'stream')
    end(failure('unreachable', `the stream to ${peer} was closed: ${error.message}`, error), (gone) => gone.abort(error, dead))
  }

  /** The id of a request of the peer's. */
  const fresh = (id: number): number => {
    if (id <= theirId) throw new FrameError(`id ${id} after ${theirId}`)
    theirId = id
    return id
  }

  /** The id of a request of this node's, perhaps one that it has given up meanwhile. */
  const mine = (id: number): number => {
    if (id === 0 || id > lastId) throw new FrameError(`an answer to ${id}, which nobody asked`)
    return id
  }

  /** Theirs, perhaps one that has ended meanwhile. */
  const theirs = (id: number): number => {
    if (id === 0 || id > theirId) throw new FrameError(`more about ${id}, which nobody asked`)
    return id
  }

  const withinSize = (bytes: Uint8Array): Uint8Array => {
    if (bytes.length > limits.maxBytes) throw new FrameError(`${bytes.length} bytes where at most ${limits.maxBytes} may be`)
    return bytes
  }

  const onPong = (id: number): void => {
    if (ping?.id !== id) throw new FrameError('an answer to no ping')
    events.roundTrip(clock.elapsed() - ping.at)
    ping = undefined
  }

  const onHint = (bytes: Uint8Array): void => {
    try {
      host.hearer?.(peer, bytes)
    } catch (error) {
      host.fault(error, peer, 'hint')
    }
  }

  const onFail = (id: number, error: Error): void => {
    if (!sends.onFail(id, error)) asked.onEnd(id, error)
  }

  const onPublish = (topic: string, bytes: Uint8Array): void => {
    for (const subscriber of host.subscriptions.get(topic) ?? []) subscriber.push(new Uint8Array(bytes))
  }

  /** By kind. Each reads its fields in their order. */
  const frameHandlers: Readonly<Record<number, (fields: FrameFields) => void>> = {
    [kinds.send]: (fields) => sends.onSend(fresh(fields.number()), fields),
    [kinds.ack]: (fields) => sends.onAck(mine(fields.number()), fields),
    [kinds.fail]: (fields) => onFail(mine(fields.number()), failure(answerCode(fields.text(longest.code)), `${peer}: ${fields.text(longest.message)}`)),
    [kinds.hint]: (fields) => onHint(new Uint8Array(withinSize(fields.rest()))),
    [kinds.query]: (fields) => served.onQuery(fresh(fields.number()), fields.number(), fields.text(longest.name), withinSize(fields.rest())),
    [kinds.data]: (fields) => asked.onData(mine(fields.number()), withinSize(fields.rest())),
    [kinds.credit]: (fields) => served.onCredit(theirs(fields.number()), fields.number()),
    [kinds.end]: (fields) => asked.onEnd(mine(fields.number())),
    [kinds.cancel]: (fields) => served.onCancel(theirs(fields.number())),
    [kinds.publish]: (fields) => onPublish(fields.text(longest.name), withinSize(fields.rest())),
    [kinds.ping]: (fields) => sendBare(core, kinds.pong, fields.number()),
    [kinds.pong]: (fields) => onPong(fields.number()),
  }

  const onFrame = (frame: Uint8Array): void => {
    // What follows in the same bytes has begun now.
    partialSince = heard
    const handler = frameHandlers[frame[0] as number]
    if (!handler) throw new FrameError(`a frame of the unknown kind ${frame[0]}`)
    const fields = frameFields(frame)
    handler(fields)
    fields.done()
  }

  const reader = frameReader(longestFrame(limits), onFrame)

  const sendPing = (elapsed: number): void => {
    pinged = elapsed
    pings += 1
    ping = { id: pings, at: elapsed }
    sendBare(core, kinds.ping, pings)
  }

  const link: Link = {
    peer,
    get state() {
      return state
    },
    get heard() {
      return heard
    },
    attach(opened) {
      if (state !== 'opening') return opened.abort(new Error('the link was given up'))
      channel = opened
      state = 'open'
      heard = clock.elapsed()
      sendPing(heard)
      opened.open({
        data(bytes) {
          if (state !== 'open') return
          heard = clock.elapsed()
          try {
            reader.push(bytes)
          } catch (error) {
            return breakOff(error as Error)
          }
          const { held } = reader
          if (held > 0 && counted === 0) partialSince = heard
          count(held)
          if (host.partialBytes > limits.partialBytes) return breakOff(new Error('too many bytes of frames that are not whole'))
          if (out.length > limits.pendingBytes + longestFrame(limits)) breakOff(new Error('it takes no answers'))
        },
        drained() {
          blocked = false
          if (out.length > 0) flush()
          else served.wake()
        },
        closed: (error) => end(failure('unreachable', `the stream to ${peer} is closed`, error), () => {}),
      })
      core.flushSoon()
    },
    send: (messages, bytes, signal) => sends.send(messages, bytes, signal),
    hint(bytes) {
      if (state === 'closed' || !core.hasRoom()) return
      out.begin(kinds.hint)
      out.bytes(bytes)
      out.end()
      core.flushSoon()
    },
    query: (protocol, body, signal) => asked.ask(protocol, body, signal),
    publish(topic, bytes) {
      if (state !== 'open' || !core.hasRoom()) return
      out.begin(kinds.publish)
      out.text(topic)
      out.bytes(bytes)
      out.end()
      core.flushSoon()
    },
    sweep(elapsed) {
      sends.sweep(elapsed)
      if (state !== 'open') return
      if (ping && elapsed - ping.at > host.timeout) return breakOff(new Error(`no answer to a ping within ${host.timeout} ms`), true)
      if (counted > 0 && elapsed - partialSince > host.timeout) return breakOff(new Error(`a frame that is not whole after ${host.timeout} ms`))
      if (!ping && elapsed - pinged >= host.pingInterval) sendPing(elapsed)
    },
    close(error, now = false) {
      blocked = false
      if (!now) flush()
      end(error, (gone) => {
        if (now) gone.abort(error)
        else gone.close()
      })
    },
  }
  return link
}
