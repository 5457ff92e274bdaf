import { hash } from 'node:crypto'
import { base32 } from 'multiformats/bases/base32'
import { encodeCanonical } from './canonical.ts'
import type { AnyDraft, MessageType } from './message.ts'

/**
 * The place that a message fills: sender, receiver, the execution (or, before there is one, the ask) that it is about, type, round. A slot is
 * filled once: the same bytes again are a repetition and get the same answer again; other bytes are an equivocation and change nothing.
 */
export type Slot = readonly [from: string, to: string, subject: string, type: MessageType, round: number]

// What tells messages of one type about one execution apart: the round of verification, or the epoch of the accept.
const roundOf = (body: AnyDraft['body']): number => ('epoch' in body ? body.epoch : 'round' in body ? body.round : 0)

/** The slot of a message. Its round is the body's `epoch` where there is one, else the body's `round`, else 0. */
export const slotOf = (message: Pick<AnyDraft, 'from' | 'to' | 'type' | 'body'>): Slot => [
  message.from,
  message.to,
  'execution' in message.body ? message.body.execution : message.body.askId,
  message.type,
  roundOf(message.body),
]

/** A slot as text, for a key or a log line: its parts with a blank between (ids have none). */
export const slotKey = (slot: Slot): string => slot.join(' ')

/** What an execution's id is made of. `index`: the shard's. */
export interface ExecutionOrigin {
  readonly network: string
  readonly requester: string
  readonly compute: string
  readonly askId: string
  readonly index: number
}

/**
 * The id of the execution that an ask is for, which is also its reservation's: both sides compute it alike, so no two executions share one and
 * nobody chooses one. 32 lower-case base32 characters: the first 20 bytes of
 * SHA-256(canonical(['skrei/execution/1', network, requester, compute, askId, index])).
 */
export const executionId = ({ network, requester, compute, askId, index }: ExecutionOrigin): string =>
  base32.baseEncode(hash('sha256', encodeCanonical(['skrei/execution/1', network, requester, compute, askId, index]), 'buffer').subarray(0, 20))
