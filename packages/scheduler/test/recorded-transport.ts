import { decodeMessage, slotKey, slotOf } from '@skrei/protocol'
import type { Transport } from '@skrei/transport'

/** One message as it left. */
export interface Sent {
  readonly from: string
  readonly to: string
  readonly bytes: Uint8Array
}

export interface Recorder {
  /** Every distinct message that was ever sent, in order. */
  readonly sent: readonly Sent[]
  /** What breaks invariant 10: a slot that was filled twice with different bytes. */
  readonly broken: readonly string[]
  wrap(transport: Transport, self: string): Transport
}

/** Writes down what its transports send. */
export const recorder = (): Recorder => {
  const sent: Sent[] = []
  const broken: string[] = []
  const known = new Set<string>()
  const slots = new Map<string, { readonly bytes: string; readonly body: string }>()

  const note = (from: string, to: string, bytes: Uint8Array): void => {
    const text = Buffer.from(bytes).toString('latin1')
    if (known.has(text)) return
    known.add(text)
    sent.push({ from, to, bytes: bytes.slice() })
    const message = decodeMessage(bytes, { network: 'test', self: to, from, check: () => true })
    const slot = slotKey(slotOf(message))
    const body = JSON.stringify(message.body)
    const before = slots.get(slot)
    if (before && before.bytes !== text) broken.push(`${slot}: ${before.body}, then ${body}`)
    if (!before) slots.set(slot, { bytes: text, body })
  }

  return {
    sent,
    broken,
    wrap: (transport, self) => ({
      ...transport,
      send: (to, messages, options) => {
        for (const bytes of messages) note(self, to, bytes)
        return transport.send(to, messages, options)
      },
    }),
  }
}
