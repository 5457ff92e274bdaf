import { type AnyMessage, decodeMessage, ProtocolError } from '@skrei/protocol'
import type { OutboxEntry } from '@skrei/state-store'
import type { Rejection } from '@skrei/transport'
import type { KernelEvent, ObjectEvent } from './kernel/event.ts'
import type { Logger } from './options.ts'

export interface UndeliverableWorld {
  readonly network: string
  readonly self: string
  readonly logger: Logger
  /** A peer says that another node lives with the key of this one. */
  readonly duplicated: (peer: string) => void
}

/**
 * What it means to a message's object that the peer refused it: its history has it, with the code. Where the object waits for an answer, the
 * refusal is one: an ask is declined, for good where that does not pass, an award is refused. Everything else has its deadline.
 */
export const undeliverable = (
  { network, self, logger, duplicated }: UndeliverableWorld,
  entry: OutboxEntry,
  { code, reason }: Rejection,
): readonly KernelEvent[] => {
  const { to, message } = entry.data as { readonly to: string; readonly message: string }
  if (code === duplicate) duplicated(to)
  logger.warn('a peer refused a message', { to, message, kind: entry.kind, id: entry.id, code, reason })
  const object = { kind: entry.kind, id: entry.id, actor: to }
  const sent = ownMessage(network, self, to, entry.bytes)
  const answer = sent && answerFor(sent, code, reason)
  return [{ ...object, event: { type: 'undeliverable', message, code, reason } }, ...(answer === undefined ? [] : [{ ...object, event: answer }])]
}

/** Our own bytes, as they were written; undefined, where an earlier release of this node wrote them in another version. */
const ownMessage = (network: string, self: string, to: string, bytes: Uint8Array = new Uint8Array()): AnyMessage | undefined => {
  try {
    return decodeMessage(bytes, { network, self: to, from: self, check: () => true, verified: () => false })
  } catch (error) {
    if (error instanceof ProtocolError) return undefined
    throw error
  }
}

/** It is over once one of two nodes with one key has ended: the peer is asked again then. */
const duplicate = 'duplicate-identity'

const answerFor = (sent: AnyMessage, code: string, reason: string): ObjectEvent | undefined => {
  if (sent.type === 'ask')
    return {
      type: 'decline',
      node: sent.to,
      askId: sent.body.askId,
      refusals: [{ code: code === duplicate ? 'busy' : 'protocol-unsupported', detail: `${code}: ${reason}` }],
    }
  if (sent.type === 'award') return { type: 'refused', execution: sent.body.execution, code }
  return undefined
}
