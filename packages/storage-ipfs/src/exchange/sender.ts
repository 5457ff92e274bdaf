import type { Connection, Stream } from '@libp2p/interface'
import { bitswapProtocol, encodeMessage, type Message } from './message.ts'

export interface Sender {
  /** Resolves once the message has left this node; rejects where it cannot. Messages leave in order. */
  send(message: Message): Promise<void>
  close(): void
}

interface SenderOptions {
  /** An open connection to the peer, if there is one: a sender dials nobody. */
  connection(): Connection | undefined
  /** How long a message may take to leave, in milliseconds. */
  readonly timeout: number
  /** Told when the peer breaks off the stream: it may not have read what was sent last. */
  readonly onReset?: () => void
}

/** A stream is closed when nothing was sent for so long: others end one that is silent for ten seconds. */
const idleMs = 2000

/** Sends to one peer, over one stream for as long as there is something to send. */
export const peerSender = ({ connection, timeout, onReset }: SenderOptions): Sender => {
  let stream: Stream | undefined
  let idle: NodeJS.Timeout | undefined
  let last: Promise<unknown> = Promise.resolve()
  let closed = false

  const leave = () => {
    const leaving = stream
    stream = undefined
    leaving?.close({ signal: AbortSignal.timeout(timeout) }).catch((error: Error) => leaving.abort(error))
  }

  const open = async (): Promise<Stream> => {
    const through = connection()
    if (closed || through === undefined) throw new Error('the peer is not connected')
    const signal = AbortSignal.timeout(timeout)
    const made = await through.newStream(bitswapProtocol, { signal })
    stream = made
    made.addEventListener('close', ({ error, local }) => {
      if (error !== undefined && local !== true && !closed) onReset?.()
    })
    // Nobody answers on it: answers come on a stream of the peer's own.
    await made.closeRead({ signal })
    return made
  }

  const sendNow = async (message: Message): Promise<void> => {
    clearTimeout(idle)
    try {
      const out = stream?.writeStatus === 'writable' ? stream : await open()
      // A timer for each message would add up: only those that have to wait get one.
      if (!out.send(encodeMessage(message))) await out.onDrain({ signal: AbortSignal.timeout(timeout) })
    } catch (error) {
      stream?.abort(error instanceof Error ? error : new Error(String(error)))
      stream = undefined
      throw error
    }
    idle = setTimeout(leave, idleMs).unref()
  }

  return {
    send: (message) => {
      const sent = last.then(() => sendNow(message))
      last = sent.catch(() => undefined)
      return sent
    },
    close: () => {
      closed = true
      clearTimeout(idle)
      leave()
    },
  }
}
