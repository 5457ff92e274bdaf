import { type Data, type Row, sharedData, type Transaction } from '@skrei/state-store'
import { forgetOldest } from '../forget-oldest.ts'
import type { KernelEvent } from './event.ts'
import type { Kind } from './machine.ts'

/** How history is written. */
export interface RecordContext {
  /** How many events that came to nothing are recorded for one object; those after them are only counted. */
  readonly refusals: number
  /** Told which group has a new entry; the transaction may still be undone. */
  readonly recorded: (group: string) => void
}

/** A change of state is always recorded: how many there can be is the machine's affair. */
export const recordTransition = (
  transaction: Transaction,
  context: RecordContext,
  kind: Kind,
  { id, event, actor }: KernelEvent,
  change: { readonly from: string | undefined; readonly to: string; readonly data: Data },
  now: number,
): void => write(transaction, context, kind, id, change.data, entryOf(event.type, actor, change.from ?? null, change.to), now)

// The same few things happen to every object: they are said once, for all stores of the process.
const keptEntries = 4096
const entries = new Map<string, Data>()

const entryOf = (event: string, actor: string, from: string | null, to: string): Data => {
  const data = { event, actor, from, to }
  // Another object, as `kind id`: of these each is its own.
  if (actor.includes(' ')) return data
  const key = `${event} ${actor} ${from} ${to}`
  const known = entries.get(key)
  if (known !== undefined) return known
  const shared = sharedData(data)
  entries.set(key, shared)
  forgetOldest(entries, keptEntries)
  return shared
}

/**
 * An event that its object did not accept, or that broke its machine. Whoever causes it may repeat it for ever (PROTOCOL.md rule 13), so that for each object a
 * bounded number is recorded and the rest is counted, in one row. Nothing is written for an object that is not there: what a stranger makes up leaves nothing.
 */
export const recordRefusal = (
  transaction: Transaction,
  context: RecordContext,
  kind: Kind,
  row: Row | undefined,
  { id, event, actor }: KernelEvent,
  what: { readonly refused: string } | { readonly fault: string },
  now: number,
): void => {
  if (row === undefined) return
  const count = refusalsOf(transaction, kind.kind, id) + 1
  transaction.put({ kind: 'refusals', id: `${kind.kind} ${id}`, state: 'counted', open: false, version: count, data: null })
  if (count > context.refusals) return
  write(transaction, context, kind, id, row.data, { event: event.type, actor, ...what, ...(count === context.refusals && { last: count }) }, now)
}

/** A message of the object that its receiver refused: no machine decides on it, history has it. One for each message, and those are the object's own. */
export const recordUndeliverable = (
  transaction: Transaction,
  context: RecordContext,
  kind: Kind,
  row: Row | undefined,
  { id, event, actor }: KernelEvent,
  now: number,
): void => {
  if (row === undefined) return
  const [message, code, reason] = [String(event['message']), String(event['code']), String(event['reason'])]
  write(transaction, context, kind, id, row.data, { event: event.type, actor, undeliverable: { message, code, reason } }, now)
}

/** How many events of an object came to nothing, recorded or not. */
export const refusalsOf = (reader: Pick<Transaction, 'get'>, kind: string, id: string): number => reader.get('refusals', `${kind} ${id}`)?.version ?? 0

/** With its object goes what was counted of it. */
export const forgetRefusals = (transaction: Transaction, kind: string, id: string): void => {
  if (refusalsOf(transaction, kind, id) > 0) transaction.remove('refusals', `${kind} ${id}`)
}

const write = (transaction: Transaction, context: RecordContext, kind: Kind, id: string, object: Data, data: Data, now: number): void => {
  const group = kind.group?.(object)
  transaction.record({ kind: kind.kind, id, ...(group !== undefined && { group }), at: now, data })
  if (group !== undefined) context.recorded(group)
}
