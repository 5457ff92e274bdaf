import type { HistoryEntry, OutboxEntry, Row } from './index.ts'
import {
  addEntry,
  addToOutbox,
  type DeadlineTables,
  emptyDeadlines,
  emptyHistory,
  emptyOutbox,
  type HistoryTables,
  type OutboxTables,
  objectKey,
  returnEntries,
  setDue,
  takeEntries,
  takeFromOutbox,
  takeLastEntry,
} from './memory-tables.ts'
import { orderKey } from './order-key.ts'
import { moveInIndex, type RowIndex, rowIndex } from './row-index.ts'

export interface Named {
  readonly kind: string
  readonly id: string
}

/** One write, as it is undone, written down, and made again. */
export type Change =
  | { readonly do: 'put'; readonly row: Row }
  | ({ readonly do: 'remove' } & Named)
  | { readonly do: 'record'; readonly entry: HistoryEntry }
  | ({ readonly do: 'deadline'; readonly at: number | undefined } & Named)
  | { readonly do: 'enqueue'; readonly entry: OutboxEntry }
  | { readonly do: 'done'; readonly outboxId: number }

/** What was written since the file's tables were brought up to date, over these tables: what stands here hides what stands there. Deadlines are here all of them. */
export interface Overlay extends HistoryTables, DeadlineTables, OutboxTables {
  readonly rows: Map<string, Map<string, Row>>
  /** Of the kinds that were listed. */
  readonly indexes: Map<string, RowIndex>
  /** Nothing that the tables have of these objects is there any more. */
  readonly removed: Map<string, Named>
  /** Objects whose deadline may be another one than in the table, and whether that has one. */
  readonly moved: Map<string, Named & { readonly stored: boolean }>
  /** Entries that the outbox table has and that are done. */
  readonly done: Set<number>
  /** The rows that this run wrote into the log, as it has them. */
  readonly inLog: Map<string, Map<string, Row>>
  /** The last entries that the tables have. */
  stored: { readonly sequence: number; readonly outboxId: number }
  /** The writes of the open transaction, and how to undo each. */
  readonly changes: Change[]
  readonly undo: (() => void)[]
}

export const emptyOverlay = (sequence: number, outboxId: number, stored: Overlay['stored']): Overlay => ({
  ...emptyHistory(),
  ...emptyDeadlines(),
  ...emptyOutbox(),
  rows: new Map(),
  indexes: new Map(),
  removed: new Map(),
  moved: new Map(),
  done: new Set(),
  inLog: new Map(),
  sequence,
  outboxId,
  stored,
  changes: [],
  undo: [],
})

/** Makes one write, so that it can be undone. */
export const change = (overlay: Overlay, made: Change): void => {
  const { undo } = overlay
  switch (made.do) {
    case 'put':
      undo.push(putRow(overlay, made.row))
      break
    case 'remove':
      undo.push(removeObject(overlay, made))
      break
    case 'record':
      addEntry(overlay, made.entry)
      undo.push(() => takeLastEntry(overlay, made.entry))
      break
    case 'deadline':
      undo.push(moveDeadline(overlay, made, made.at))
      break
    case 'enqueue': {
      const { entry } = made
      const { outboxId } = overlay
      addToOutbox(overlay, entry)
      overlay.outboxId = entry.outboxId
      undo.push(() => {
        takeFromOutbox(overlay, entry.outboxId)
        overlay.outboxId = outboxId
      })
      break
    }
    case 'done': {
      const { outboxId } = made
      const entry = takeFromOutbox(overlay, outboxId)
      if (!entry && (outboxId > overlay.stored.outboxId || overlay.done.has(outboxId))) return
      if (!entry) overlay.done.add(outboxId)
      undo.push(() => {
        if (entry) addToOutbox(overlay, entry)
        else overlay.done.delete(outboxId)
      })
      break
    }
  }
  overlay.changes.push(made)
}

/** Sets or (undefined) drops a row, and returns the one that was there. */
const setRow = ({ rows, indexes }: Overlay, kind: string, id: string, row: Row | undefined): Row | undefined => {
  const known = rows.get(kind)
  const ofKind = known ?? new Map<string, Row>()
  if (!known) rows.set(kind, ofKind)
  const before = ofKind.get(id)
  if (row) ofKind.set(id, row)
  else ofKind.delete(id)
  const index = indexes.get(kind)
  if (index) moveInIndex(index, orderKey(id), before, row)
  return before
}

/** The rows of a kind by what `list` asks for: made when the kind is listed first, since most never are. */
export const indexOf = ({ rows, indexes }: Overlay, kind: string): RowIndex => {
  const known = indexes.get(kind)
  if (known) return known
  const index = rowIndex()
  for (const row of rows.get(kind)?.values() ?? []) moveInIndex(index, orderKey(row.id), undefined, row)
  indexes.set(kind, index)
  return index
}

const putRow = (overlay: Overlay, row: Row): (() => void) => {
  const before = setRow(overlay, row.kind, row.id, row)
  return () => void setRow(overlay, row.kind, row.id, before)
}

const removeObject = (overlay: Overlay, { kind, id }: Named): (() => void) => {
  const { removed } = overlay
  const key = objectKey(kind, id)
  const row = setRow(overlay, kind, id, undefined)
  const entries = takeEntries(overlay, key)
  const returnDeadline = moveDeadline(overlay, { kind, id }, undefined)
  const known = removed.has(key)
  removed.set(key, { kind, id })
  return () => {
    if (!known) removed.delete(key)
    returnDeadline()
    returnEntries(overlay, key, entries)
    setRow(overlay, kind, id, row)
  }
}

const moveDeadline = (overlay: Overlay, { kind, id }: Named, at: number | undefined): (() => void) => {
  const key = objectKey(kind, id)
  const before = setDue(overlay, key, at === undefined ? undefined : { key, kind, id, at })
  if (!overlay.moved.has(key)) overlay.moved.set(key, { kind, id, stored: before !== undefined })
  return () => {
    setDue(overlay, key, before)
  }
}

/** Undoes all writes of the open transaction but the first `mark`. */
export const undoTo = ({ changes, undo }: Overlay, mark: number): void => {
  while (undo.length > mark) undo.pop()?.()
  changes.length = mark
}

/** The open transaction is in the log. */
export const keepLogged = (overlay: Overlay): void => {
  const { changes, rows, inLog } = overlay
  for (const made of changes) {
    if (made.do === 'remove') inLog.get(made.kind)?.delete(made.id)
    if (made.do !== 'put' || rows.get(made.row.kind)?.get(made.row.id) !== made.row) continue
    const ofKind = inLog.get(made.row.kind)
    if (ofKind) ofKind.set(made.row.id, made.row)
    else inLog.set(made.row.kind, new Map([[made.row.id, made.row]]))
  }
  keepChanges(overlay)
}

/** The open transaction stays. */
export const keepChanges = ({ changes, undo }: Overlay): void => {
  changes.length = 0
  undo.length = 0
}

/** The tables have it all now. */
export const settled = (overlay: Overlay): void => {
  keepChanges(overlay)
  const { sequence, outboxId, rows, indexes, removed, moved, done, inLog, history, groups, outbox, outboxOrder, outboxOf } = overlay
  for (const map of [rows, indexes, removed, moved, done, inLog, history, groups, outboxOf]) map.clear()
  for (const id of outbox.keys()) outboxOrder.delete(id)
  outbox.clear()
  overlay.stored = { sequence, outboxId }
}
