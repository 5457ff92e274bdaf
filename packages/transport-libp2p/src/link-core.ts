import { type Clock, type Rejection, type Transport, TransportError, type TransportErrorCode } from '@skrei/transport'
import type { Subscription } from '@skrei/transport/driver'
import { type FrameWriter, kinds } from './frame.ts'
import type { Limits } from './limits.ts'

export type FaultPlace = 'receive' | 'hint' | 'serve' | 'stream' | 'dial'

type Receive = Parameters<Transport['receive']>[0]
type Hint = Parameters<Transport['onHint']>[0]
type Serve = Parameters<Transport['serve']>[1]

/** What the links of one transport share. */
export interface LinkHost {
  readonly clock: Clock
  readonly limits: Limits
  /** For every wait, in milliseconds. */
  readonly timeout: number
  readonly pingInterval: number
  receiver: Receive | undefined
  hearer: Hint | undefined
  readonly served: Map<string, Serve>
  readonly subscriptions: Map<string, Set<Subscription>>
  onceAborted(signal: AbortSignal, run: () => void): Disposable
  /** Bytes of frames that have not arrived whole, of all links. */
  partialBytes: number
  /** What all links work on. */
  workingBytes: number
  fault(error: unknown, peer: string, place: FaultPlace): void
}

/** What the parts of one link share. */
export interface LinkCore {
  readonly peer: string
  readonly host: LinkHost
  readonly out: FrameWriter
  /** Bytes of the peer's that handlers work on, with what holding them costs. */
  working: number
  readonly closed: boolean
  /** What is in `out` leaves when everything that has arrived had its turn. */
  flushSoon(): void
  /** The peer takes more at the moment. */
  hasRoom(): boolean
  nextId(): number
}

export const failure = (code: TransportErrorCode, message: string, cause?: unknown): TransportError =>
  new TransportError(code, message, cause === undefined ? undefined : { cause })

/** What each peer may have worked on where all together have too much: a node that is flooded by some still hears the others. */
const flooded = 64 * 1024

/** Room for what a peer wants to have worked on: what gives it back, or nothing where there is none. */
export const roomFor = (core: LinkCore, cost: number): (() => void) | undefined => {
  const { host } = core
  const { pendingBytes, workingBytes } = host.limits
  const own = core.working + cost
  if (core.working > 0 && own > pendingBytes) return undefined
  if (host.workingBytes + cost > workingBytes && own > flooded) return undefined
  core.working += cost
  host.workingBytes += cost
  return () => {
    core.working -= cost
    host.workingBytes -= cost
  }
}

const longestMessage = 256

export const sendFail = ({ out, flushSoon }: LinkCore, id: number, code: TransportErrorCode, message: string): void => {
  out.begin(kinds.fail)
  out.number(id)
  out.text(code)
  out.text(message.slice(0, longestMessage))
  out.end()
  flushSoon()
}

export const sendAck = ({ out, flushSoon }: LinkCore, id: number, rejections: readonly Rejection[]): void => {
  out.begin(kinds.ack)
  out.number(id)
  out.number(rejections.length)
  for (const { index, code, reason } of rejections) {
    out.number(index)
    out.text(code)
    out.text(reason)
  }
  out.end()
  flushSoon()
}

/** A frame of a kind that has an id and nothing more. */
export const sendBare = ({ out, flushSoon }: LinkCore, kind: number, id: number): void => {
  out.begin(kind)
  out.number(id)
  out.end()
  flushSoon()
}

/** Lengths of the texts that travel, in bytes of UTF-8. */
export const longest = { code: 64 * 4, reason: 256 * 4, message: longestMessage * 4, name: 1024 }

/** What a peer may say of its own failure; any other word is a `refused`. */
export const answerCode = (code: string): TransportErrorCode => (code === 'no-handler' || code === 'too-large' || code === 'unreachable' ? code : 'refused')
