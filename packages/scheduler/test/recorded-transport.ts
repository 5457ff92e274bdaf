import { decodeMessage, slotKey, slotOf } from '@skrei/protocol'
import type { Rejection, Transport } from '@skrei/transport'

/** One message as it left. */
export interface Sent {
  readonly from: string
  readonly to: string
  readonly bytes: Uint8Array
}

export interface Recorder {
  /** Every distinct message that was ever sent, in order. */
  readonly sent: readonly Sent[]
  /** How many messages left, resent ones and repeated answers included. */
  readonly count: number
  /** What breaks invariant 10: a slot that was filled twice with different bytes. */
  readonly broken: readonly string[]
  /** How many different asks were among them: each may become an execution. */
  readonly asks: number
  /** What a node has durably taken since it last forgot, in order; each message once. */
  taken(node: string): readonly Sent[]
  /** Hands a message to a node again, as its network would. */
  again(sent: Sent): Promise<unknown>
  /** Has a node make a turn with nothing in it. */
  turn(node: string): Promise<unknown>
  /** A node's store was set back: it may say other things now, and has forgotten what it was told. */
  forget(node: string): void
  wrap(transport: Transport, self: string): Transport
}

type Handler = Parameters<Transport['receive']>[0]

/** Writes down what its transports send, and what they have handed on. */
export const recorder = (): Recorder => {
  const sent: Sent[] = []
  const broken: string[] = []
  const known = new Set<string>()
  const slots = new Map<string, { readonly bytes: string; readonly body: string }>()
  const forgetful = new Set<string>()
  const taken = new Map<string, Map<string, Sent>>()
  const handlers = new Map<string, Handler>()
  let count = 0
  let asks = 0

  const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

  const note = (from: string, to: string, bytes: Uint8Array): void => {
    count++
    const text = textOf(bytes)
    if (known.has(text)) return
    known.add(text)
    sent.push({ from, to, bytes: bytes.slice() })
    const message = decodeMessage(bytes, { network: 'test', self: to, from, check: () => true, verified: () => false })
    const slot = slotKey(slotOf(message))
    const body = JSON.stringify(message.body)
    const before = slots.get(slot)
    if (before && before.bytes !== text && !forgetful.has(from)) broken.push(`${slot}: ${before.body}, then ${body}`)
    if (!before) slots.set(slot, { bytes: text, body })
    if (message.type === 'ask') asks++
  }

  const take = (from: string, to: string, messages: readonly Uint8Array[]): void => {
    const those = taken.get(to) ?? new Map<string, Sent>()
    taken.set(to, those)
    for (const bytes of messages) {
      const text = textOf(bytes)
      if (!those.has(text)) those.set(text, { from, to, bytes: bytes.slice() })
    }
  }

  return {
    sent,
    broken,
    get count() {
      return count
    },
    get asks() {
      return asks
    },
    taken: (node) => [...(taken.get(node)?.values() ?? [])],
    again: async ({ from, to, bytes }) => handlers.get(to)?.(from, [bytes]),
    turn: async (node) => handlers.get(node)?.('nobody', []),
    forget: (node) => {
      forgetful.add(node)
      taken.delete(node)
    },
    wrap: (transport, self) => ({
      ...transport,
      send: (to, messages, options) => {
        for (const bytes of messages) note(self, to, bytes)
        return transport.send(to, messages, options)
      },
      receive: (handler) => {
        handlers.set(self, handler)
        return transport.receive(async (from, messages): Promise<readonly Rejection[]> => {
          const rejections = await handler(from, messages)
          take(from, self, messages)
          return rejections ?? []
        })
      },
    }),
  }
}
