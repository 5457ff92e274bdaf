import type { ListWhere, Reader, Row } from './index.ts'
import { groupEntries, objectEntries, objectKey, pendingEntries } from './memory-tables.ts'
import { compareKeys, orderKey } from './order-key.ts'
import type { Overlay } from './overlay.ts'
import type { SqliteTables } from './sqlite-tables.ts'

const matches = (row: Row, { parent, state, open, after }: ListWhere): boolean =>
  (parent === undefined || row.parent === parent) &&
  (state === undefined || row.state === state) &&
  (open === undefined || row.open === open) &&
  (after === undefined || compareKeys(orderKey(row.id), orderKey(after)) > 0)

const compareRows = (a: Row, b: Row): number => compareKeys(orderKey(a.id), orderKey(b.id))

/** Reads the tables with the overlay over them. What is only in the overlay has higher numbers than what is in the tables. */
export const overlaidReader = (tables: SqliteTables, overlay: Overlay): Pick<Reader, 'get' | 'list' | 'history' | 'groupHistory' | 'pending'> => {
  const { rows, removed, done } = overlay
  const isRemoved = (kind: string, id: string): boolean => removed.size > 0 && removed.has(objectKey(kind, id))

  return {
    get(kind, id) {
      const row = rows.get(kind)?.get(id)
      return row ?? (isRemoved(kind, id) ? undefined : tables.get(kind, id))
    },
    list(kind, where) {
      const ofKind = rows.get(kind)
      const stored = tables.list(kind, where, (id) => ofKind?.has(id) === true || isRemoved(kind, id))
      const over = [...(ofKind?.values() ?? [])].filter((row) => matches(row, where))
      return over.length === 0 ? stored : [...stored, ...over].sort(compareRows).slice(0, where.limit)
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
