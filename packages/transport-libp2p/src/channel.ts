import type { Connection, Stream } from '@libp2p/interface'
import type { Clock } from '@skrei/transport'
import { spareUpdates } from './spare-updates.ts'

export interface ChannelEvents {
  data(bytes: Uint8Array): void
  /** After `write` has said no: there is room again. */
  drained(): void
  /** Once; nothing comes after it. */
  closed(error?: Error): void
}

/** Bytes in order both ways. */
export interface Channel {
  /** Before anything else, once. */
  open(events: ChannelEvents): void
  /** False: taken, but no more should come before `drained`. */
  write(bytes: Uint8Array): boolean
  /** Once what was written has left. */
  close(): void
  /** At once; with `dead`, the connection below it too. */
  abort(error: Error, dead?: boolean): void
}

/** How long what was written may take to leave, and the other end to close, in milliseconds. */
const closeTimeout = 2000

/** Closes this end, and the stream as a whole once the other has closed its own, or has not in time. */
const leave = (stream: Stream): void => {
  const signal = AbortSignal.timeout(closeTimeout)
  const cut = (): void => stream.abort(new Error('the other end did not close the stream'))
  signal.addEventListener('abort', cut, { once: true })
  stream.addEventListener('close', () => signal.removeEventListener('abort', cut), { once: true })
  stream.close({ signal }).catch(cut)
}

export const streamChannel = (stream: Stream, connection: Connection | undefined): Channel => ({
  open(events) {
    spareUpdates(stream)
    stream.addEventListener('message', ({ data }) => events.data(data instanceof Uint8Array ? data : data.subarray()))
    // libp2p goes on with what it holds in a microtask of its own, queued before this one.
    stream.addEventListener('drain', () =>
      queueMicrotask(() => {
        if (!stream.writableNeedsDrain) events.drained()
      }),
    )
    stream.addEventListener('remoteCloseWrite', () => leave(stream))
    stream.addEventListener('close', ({ error }) => events.closed(error), { once: true })
    // Before the listener was there.
    if (stream.status !== 'open') events.closed()
  },
  write: (bytes) => stream.send(bytes),
  close: () => leave(stream),
  abort(error, dead = false) {
    if (dead) connection?.abort(error)
    stream.abort(error)
  },
})

/** Two ends of a channel within the process: for what a node sends to itself. */
export const loopback = (clock: Clock): [Channel, Channel] => {
  const events: (ChannelEvents | undefined)[] = []
  let closed = false
  const end = (error?: Error): void => {
    if (closed) return
    closed = true
    for (const each of events) each?.closed(error)
  }
  const side = (mine: number, other: number): Channel => ({
    open(handlers) {
      events[mine] = handlers
    },
    write(bytes) {
      clock.soon(() => {
        if (!closed) events[other]?.data(bytes)
      })
      return true
    },
    close: () => end(),
    abort: (error) => end(error),
  })
  return [side(0, 1), side(1, 0)]
}
