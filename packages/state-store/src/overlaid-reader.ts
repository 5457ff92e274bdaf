import type { ListWhere, Reader, Row } from './index.ts'
import { groupEntries, objectEntries, objectKey, pendingEntries } from './memory-tables.ts'
import { compareKeys, idOfKey, orderKey } from './order-key.ts'
import { indexOf, type Overlay } from './overlay.ts'
import { isMeant, keysOf } from './row-index.ts'
import type { SqliteTables } from './sqlite-tables.ts'

/** The first of two ordered lists together, without those of the one that are hidden; of neither is more read than needed. */
const merged = (one: Iterator<Row>, other: Iterator<Row>, { descending = false, limit }: ListWhere, isHidden: (id: string) => boolean): Row[] => {
  const found: Row[] = []
  let a: IteratorResult<Row> | undefined
  let b: IteratorResult<Row> | undefined
  while (found.length < limit) {
    a ??= one.next()
    b ??= other.next()
    if (!a.done && (b.done || compareKeys(orderKey(a.value.id), orderKey(b.value.id)) < 0 !== descending)) {
      if (!isHidden(a.value.id)) found.push(a.value)
      a = undefined
    } else if (!b.done) {
      found.push(b.value)
      b = undefined
    } else break
  }
  return found
}

/** Reads the tables with the overlay over them. What is only in the overlay has higher numbers than what is in the tables. */
export const overlaidReader = (tables: SqliteTables, overlay: Overlay): Pick<Reader, 'get' | 'list' | 'history' | 'groupHistory' | 'pending'> => {
  const { rows, removed, done } = overlay
  const isRemoved = (kind: string, id: string): boolean => removed.size > 0 && removed.has(objectKey(kind, id))

  function* overRows(kind: string, where: ListWhere): Generator<Row> {
    const ofKind = rows.get(kind)
    if (ofKind === undefined || ofKind.size === 0) return
    for (const key of keysOf(indexOf(overlay, kind), where)) {
      const row = ofKind.get(idOfKey(key))
      if (row !== undefined && isMeant(row, where)) yield row
    }
  }

  return {
    get(kind, id) {
      const row = rows.get(kind)?.get(id)
      return row ?? (isRemoved(kind, id) ? undefined : tables.get(kind, id))
    },
    list(kind, where) {
      const ofKind = rows.get(kind)
      const stored = tables.list(kind, where)[Symbol.iterator]()
      return merged(stored, overRows(kind, where), where, (id) => ofKind?.has(id) === true || isRemoved(kind, id))
    },
    history(kind, id, after, limit) {
      const stored = after >= overlay.stored.sequence || isRemoved(kind, id) ? [] : tables.history(kind, id, after, limit)
      return [...stored, ...objectEntries(overlay, objectKey(kind, id), after, limit - stored.length)]
    },
    groupHistory(group, after, limit) {
      const stored = after >= overlay.stored.sequence ? [] : tables.groupHistory(group, after, limit, isRemoved)
      return [...stored, ...groupEntries(overlay, group, after, limit - stored.length)]
    },
    pending(after, limit) {
      const stored = after >= overlay.stored.outboxId ? [] : tables.pending(after, limit, (outboxId) => done.has(outboxId))
      return [...stored, ...pendingEntries(overlay, after, limit - stored.length)]
    },
  }
}
