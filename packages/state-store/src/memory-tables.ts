import type { Deadline, HistoryEntry, ListWhere, OutboxEntry, Row } from './index.ts'
import { compareKeys, orderKey } from './order-key.ts'
import { type HeldRow, packed, unpacked } from './packed-row.ts'
import { cloneRowIndex, isMeant, keysOf, moveInIndex, type RowIndex, rowIndex } from './row-index.ts'
import { type SortedList, sortedList } from './sorted-list.ts'

/** Most is done to one object several times in a row. */
let last = { kind: '', id: '', key: '' }

/** Names an object, and sorts by kind and then id: names hold no NUL. */
export const objectKey = (kind: string, id: string): string => {
  if (last.id !== id || last.kind !== kind) last = { kind, id, key: `${orderKey(kind)}\0${orderKey(id)}` }
  return last.key
}

export interface Due {
  readonly key: string
  readonly kind: string
  readonly id: string
  readonly at: number
}

/** The rows of one kind, by order key. */
interface KindTable {
  readonly rows: Map<string, HeldRow>
  readonly index: RowIndex
}

/** Entries by object, each object's in the order of their sequences, and by group. */
export interface HistoryTables {
  readonly history: Map<string, HistoryEntry[]>
  readonly groups: Map<string, SortedList<HistoryEntry>>
  /** The last that was given. */
  sequence: number
}

export interface DeadlineTables {
  readonly deadlines: Map<string, Due>
  readonly dueOrder: SortedList<Due>
}

export interface OutboxTables {
  readonly outbox: Map<number, OutboxEntry>
  readonly outboxOrder: SortedList<number>
  readonly outboxOf: Map<string, Set<number>>
  /** The last that was given. */
  outboxId: number
}

export interface Tables extends HistoryTables, DeadlineTables, OutboxTables {
  readonly kinds: Map<string, KindTable>
}

const compareDue = (a: Due, b: Due): number => a.at - b.at || compareKeys(a.key, b.key)
const compareEntries = (a: HistoryEntry, b: HistoryEntry): number => a.sequence - b.sequence
const compareIds = (a: number, b: number): number => a - b

export const emptyHistory = (): HistoryTables => ({ history: new Map(), groups: new Map(), sequence: 0 })
export const emptyDeadlines = (): DeadlineTables => ({ deadlines: new Map(), dueOrder: sortedList(compareDue) })
export const emptyOutbox = (): OutboxTables => ({ outbox: new Map(), outboxOrder: sortedList(compareIds), outboxOf: new Map(), outboxId: 0 })
export const emptyTables = (): Tables => ({ kinds: new Map(), ...emptyHistory(), ...emptyDeadlines(), ...emptyOutbox() })

const cloneGroups = <K, T>(index: Map<K, SortedList<T>>): Map<K, SortedList<T>> => new Map([...index].map(([key, list]) => [key, list.clone()]))

/** Entries and rows are frozen and shared; what holds them is copied. */
export const cloneTables = (tables: Tables): Tables => ({
  kinds: new Map([...tables.kinds].map(([kind, { rows, index }]) => [kind, { rows: new Map(rows), index: cloneRowIndex(index) }])),
  history: new Map([...tables.history].map(([key, entries]) => [key, entries.slice()])),
  groups: cloneGroups(tables.groups),
  deadlines: new Map(tables.deadlines),
  dueOrder: tables.dueOrder.clone(),
  outbox: new Map(tables.outbox),
  outboxOrder: tables.outboxOrder.clone(),
  outboxOf: new Map([...tables.outboxOf].map(([key, ids]) => [key, new Set(ids)])),
  sequence: tables.sequence,
  outboxId: tables.outboxId,
})

export const rowOf = (tables: Tables, kind: string, id: string): Row | undefined => {
  const held = tables.kinds.get(kind)?.rows.get(orderKey(id))
  return held && unpacked(held)
}

/** Sets or (undefined) drops the row, moves it in the indexes, and returns the one that was there. */
export const setRow = (tables: Tables, kind: string, id: string, row: Row | undefined): Row | undefined => {
  const known = tables.kinds.get(kind)
  if (!known && !row) return undefined
  const table = known ?? { rows: new Map(), index: rowIndex() }
  if (!known) tables.kinds.set(kind, table)
  const key = orderKey(id)
  const before = table.rows.get(key)
  if (row) table.rows.set(key, packed(row))
  else table.rows.delete(key)
  moveInIndex(table.index, key, before, row)
  return before && unpacked(before)
}

export const listRows = (tables: Tables, kind: string, where: ListWhere): Row[] => {
  const found: Row[] = []
  const table = tables.kinds.get(kind)
  if (!table || where.limit === 0) return found
  for (const key of keysOf(table.index, where)) {
    const row = table.rows.get(key) as HeldRow
    if (isMeant(row, where) && found.push(unpacked(row)) === where.limit) break
  }
  return found
}

/** A place in a group's history: nothing of an entry but its sequence is compared. */
const place = (sequence: number): HistoryEntry => ({ sequence, kind: '', id: '', at: 0, data: null })

export const objectEntries = (tables: HistoryTables, key: string, after: number, limit: number): HistoryEntry[] => {
  const entries = tables.history.get(key) ?? []
  let low = 0
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((entries[middle] as HistoryEntry).sequence <= after) low = middle + 1
    else high = middle
  }
  return entries.slice(low, low + limit)
}

export const groupEntries = (tables: HistoryTables, group: string, after: number, limit: number): HistoryEntry[] => {
  const found: HistoryEntry[] = []
  if (limit === 0) return found
  for (const entry of tables.groups.get(group)?.after(place(after)) ?? []) if (found.push(entry) === limit) break
  return found
}

const addToGroup = (tables: HistoryTables, entry: HistoryEntry): void => {
  if (entry.group === undefined) return
  const entries = tables.groups.get(entry.group) ?? sortedList(compareEntries)
  if (entries.size() === 0) tables.groups.set(entry.group, entries)
  entries.add(entry)
}

const takeFromGroup = (tables: HistoryTables, entry: HistoryEntry): void => {
  if (entry.group === undefined) return
  const entries = tables.groups.get(entry.group)
  entries?.delete(entry)
  if (entries?.size() === 0) tables.groups.delete(entry.group)
}

/** Up to so many entries, the list of an object is just as long as it must be. */
const exactly = 16

/** The newest of all. */
export const addEntry = (tables: HistoryTables, entry: HistoryEntry): void => {
  const key = objectKey(entry.kind, entry.id)
  const entries = tables.history.get(key)
  if (entries === undefined) tables.history.set(key, [entry])
  // A list that grows by itself makes room for many more, and most objects have a dozen.
  else if (entries.length < exactly) tables.history.set(key, [...entries, entry])
  else entries.push(entry)
  addToGroup(tables, entry)
  tables.sequence = entry.sequence
}

/** The one that `addEntry` added last. */
export const takeLastEntry = (tables: HistoryTables, entry: HistoryEntry): void => {
  const key = objectKey(entry.kind, entry.id)
  const entries = tables.history.get(key)
  if (entries?.length === 1) tables.history.delete(key)
  else entries?.pop()
  takeFromGroup(tables, entry)
  tables.sequence = entry.sequence - 1
}

export const takeEntries = (tables: HistoryTables, key: string): HistoryEntry[] => {
  const entries = tables.history.get(key) ?? []
  tables.history.delete(key)
  for (const entry of entries) takeFromGroup(tables, entry)
  return entries
}

export const returnEntries = (tables: HistoryTables, key: string, entries: HistoryEntry[]): void => {
  if (entries.length > 0) tables.history.set(key, entries)
  for (const entry of entries) addToGroup(tables, entry)
}

export const setDue = (tables: DeadlineTables, key: string, due: Due | undefined): Due | undefined => {
  const before = tables.deadlines.get(key)
  if (before) tables.dueOrder.delete(before)
  if (due) {
    tables.deadlines.set(key, due)
    tables.dueOrder.add(due)
  } else {
    tables.deadlines.delete(key)
  }
  return before
}

export const dueBy = (tables: DeadlineTables, now: number, limit: number): Deadline[] => {
  const found: Deadline[] = []
  if (limit === 0) return found
  for (const { kind, id, at } of tables.dueOrder.after()) {
    if (at > now || found.push(Object.freeze({ kind, id, at })) === limit) break
  }
  return found
}

const given = (entry: OutboxEntry): OutboxEntry => (entry.bytes ? Object.freeze({ ...entry, bytes: new Uint8Array(entry.bytes) }) : entry)

export const pendingEntries = (tables: OutboxTables, after: number, limit: number): OutboxEntry[] => {
  const found: OutboxEntry[] = []
  if (limit === 0) return found
  for (const outboxId of tables.outboxOrder.after(after)) {
    if (found.push(given(tables.outbox.get(outboxId) as OutboxEntry)) === limit) break
  }
  return found
}

export const addToOutbox = (tables: OutboxTables, entry: OutboxEntry): void => {
  const key = objectKey(entry.kind, entry.id)
  tables.outbox.set(entry.outboxId, entry)
  tables.outboxOrder.add(entry.outboxId)
  const ids = tables.outboxOf.get(key)
  if (ids) ids.add(entry.outboxId)
  else tables.outboxOf.set(key, new Set([entry.outboxId]))
}

export const takeFromOutbox = (tables: OutboxTables, outboxId: number): OutboxEntry | undefined => {
  const entry = tables.outbox.get(outboxId)
  if (!entry) return undefined
  const key = objectKey(entry.kind, entry.id)
  tables.outbox.delete(outboxId)
  tables.outboxOrder.delete(outboxId)
  const ids = tables.outboxOf.get(key)
  ids?.delete(outboxId)
  if (ids?.size === 0) tables.outboxOf.delete(key)
  return entry
}

export const pendingOf = (tables: OutboxTables, kind: string, id: string): number[] => [...(tables.outboxOf.get(objectKey(kind, id)) ?? [])]
