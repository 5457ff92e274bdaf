import type { Rejection } from './rejection.ts'

export { boundedRejections, type Rejection } from './rejection.ts'

export interface AbortOptions {
  readonly signal?: AbortSignal
}

/** The one clock of a process, handed to everything that waits. Milliseconds. */
export interface Clock {
  /** The time of day, since the Unix epoch: it may be set forward and back. */
  now(): number
  /** How much time has passed since some moment of the process: it never jumps, whatever is done to the time of day. */
  elapsed(): number
  /** Runs `run` once, when `time - now()` has passed, or a moment later: setting the time of day meanwhile moves nothing. Disposing before then forgets it. */
  at(time: number, run: () => void): Disposable
  /**
   * Runs `run` once, when everything that has arrived by now had its turn, without a wait: what comes in one pass of the event loop can share what one `run` does. In the order of
   * the calls. No time passes for it, so that on a virtual clock it runs although nobody moves the clock.
   */
  soon(run: () => void): void
}

/** How a transport sees a peer: for people and metrics, never for decisions about executions. `roundTrip` in milliseconds. */
export interface PeerView {
  readonly id: string
  readonly connected: boolean
  readonly roundTrip?: number
}

/** Moves opaque bytes between nodes; the driver proves `from`. */
export interface Transport extends AsyncDisposable {
  readonly self: string
  start(options?: AbortOptions): Promise<void>
  /**
   * Resolves once the peer's handler has, with the messages that it refused; `[]`: it has durably applied them all. A refused one need not be sent
   * again, the others of the call are applied. Messages of one call arrive together and in order. A node may send to itself.
   */
  send(to: string, messages: readonly Uint8Array[], options: AbortOptions): Promise<readonly Rejection[]>
  /**
   * One handler at a time. It must be idempotent: a message may arrive twice. It resolves with the messages that it refuses, or with nothing; what it
   * resolves with reaches the sender as {@link boundedRejections} gives it. When it rejects, the whole send fails as `refused`, and may be tried again.
   * Sends to a node without a handler fail.
   */
  receive(handler: (from: string, messages: readonly Uint8Array[]) => Promise<readonly Rejection[]> | Promise<void>): Disposable
  /** May be lost: heartbeats, progress. */
  hint(to: string, bytes: Uint8Array): void
  onHint(handler: (from: string, bytes: Uint8Array) => void): Disposable
  /** Changes nothing at the peer: logs, manifest chunks, directory samples. */
  query(to: string, protocol: string, body: Uint8Array, options: AbortOptions): AsyncIterable<Uint8Array>
  serve(protocol: string, handler: (from: string, body: Uint8Array, options: AbortOptions) => AsyncIterable<Uint8Array>): Disposable
  /** Announcements only. */
  publish(topic: string, bytes: Uint8Array): Promise<void>
  subscribe(topic: string, options: AbortOptions): AsyncIterable<Uint8Array>
  /**
   * Those that it knows of. With a limit, at most so many of them, and another part each time where there are more: it costs what the limit is, not what the network is. Without one it
   * may look at each: for people and metrics.
   */
  peers(options?: { readonly limit?: number }): readonly PeerView[]
  /** How many it knows of, connected or not, without looking at them. */
  peerCount(): number
  /** How it sees one of them, without looking at the others; undefined: it knows nothing of it. */
  peer(id: string): PeerView | undefined
}

export type TransportErrorCode = 'unknown-peer' | 'unreachable' | 'not-started' | 'no-handler' | 'refused' | 'too-large' | 'unsupported-version'

/** Callers branch on `code`. */
export class TransportError extends Error {
  override readonly name = 'TransportError'
  readonly code: TransportErrorCode

  constructor(code: TransportErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
