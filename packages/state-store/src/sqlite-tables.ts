import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import type { Written } from './change-log.ts'
import type { HistoryEntry, ListWhere, OutboxEntry, Row } from './index.ts'
import { prefixEnd } from './key-range.ts'
import type { DeadlineTables } from './memory-tables.ts'
import { objectKey, setDue } from './memory-tables.ts'
import type { Overlay } from './overlay.ts'
import { parsedData } from './plain-data.ts'
import { rowCache } from './row-cache.ts'

/** Rows come back without a prototype; these are the columns of the statements below. */
interface Columns {
  kind: string
  id: string
  parent: string | null
  state: string
  open: number
  version: number
  data: string
  group_id: string | null
  sequence: number
  outbox_id: number
  at: number
  type: string
  lane: string
  bytes: Uint8Array | null
}

const rowOf = ({ kind, id, parent, state, open, version, data }: Columns): Row =>
  Object.freeze({ kind, id, ...(parent === null ? {} : { parent }), state, open: open === 1, version, data: parsedData(data) })

const outboxEntryOf = ({ outbox_id, kind, id, type, lane, data, bytes }: Columns): OutboxEntry => ({
  outboxId: outbox_id,
  kind,
  id,
  type,
  lane,
  data: parsedData(data),
  ...(bytes === null ? {} : { bytes }),
})

const entryOf = ({ sequence, kind, id, group_id, at, data }: Columns): HistoryEntry => ({
  sequence,
  kind,
  id,
  ...(group_id === null ? {} : { group: group_id }),
  at,
  data: parsedData(data),
})

/** What the file holds. Rows are frozen, and the last ones that were used are read but once. */
export interface SqliteTables {
  get(kind: string, id: string): Row | undefined
  /** Rows of one kind, as they are asked for: a page of the limit, and then more. */
  list(kind: string, where: ListWhere): Iterable<Row>
  history(kind: string, id: string, after: number, limit: number): HistoryEntry[]
  groupHistory(group: string, after: number, limit: number, hidden: (kind: string, id: string) => boolean): HistoryEntry[]
  pending(after: number, limit: number, hidden: (outboxId: number) => boolean): OutboxEntry[]
  pendingOf(kind: string, id: string): number[]
  readDeadlines(into: DeadlineTables): void
  readLog(): readonly Written[]
  /** The last that were given, and the last outbox entry that there is. */
  counters(): { readonly sequence: number; readonly outboxId: number; readonly storedOutboxId: number }
  /** One more transaction, durable when this returns. */
  append(changes: Written): void
  /** Everything that the overlay holds, durable when this returns, and an empty log. */
  apply(overlay: Overlay): void
  /** After an `apply` that failed. */
  rollback(): void
}

const bySequence = (a: HistoryEntry, b: HistoryEntry): number => a.sequence - b.sequence

/** Pages until `limit` are found that are not hidden. */
const visible = <T>(limit: number, page: (limit: number) => readonly T[], hidden: (item: T) => boolean, passed: (item: T) => void): T[] => {
  const found: T[] = []
  for (let most = limit; found.length < limit; most = Math.max(limit - found.length, 64)) {
    const items = page(most)
    for (const item of items) if (found.length < limit && !hidden(item)) found.push(item)
    const last = items.at(-1)
    if (last === undefined || items.length < most) break
    passed(last)
  }
  return found
}

/** `cacheSize`: of the rows that are kept in memory, as text. */
export const sqliteTables = (database: DatabaseSync, cacheSize: number): SqliteTables => {
  const cache = rowCache(cacheSize)
  const lists = new Map<string, StatementSync>()
  const statements = {
    begin: database.prepare('BEGIN IMMEDIATE'),
    commit: database.prepare('COMMIT'),
    rollback: database.prepare('ROLLBACK'),
    get: database.prepare('SELECT * FROM object WHERE kind = ? AND id = ?'),
    put: database.prepare(
      `INSERT INTO object (kind, id, parent, state, open, version, data) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET parent = excluded.parent, state = excluded.state, open = excluded.open, version = excluded.version, data = excluded.data`,
    ),
    remove: database.prepare('DELETE FROM object WHERE kind = ? AND id = ?'),
    history: database.prepare('SELECT * FROM history WHERE kind = ? AND id = ? AND sequence > ? ORDER BY sequence LIMIT ?'),
    groupHistory: database.prepare('SELECT * FROM history WHERE group_id = ? AND sequence > ? ORDER BY sequence LIMIT ?'),
    record: database.prepare('INSERT INTO history (sequence, kind, id, group_id, at, data) VALUES (?, ?, ?, ?, ?, ?)'),
    forget: database.prepare('DELETE FROM history WHERE kind = ? AND id = ?'),
    deadlines: database.prepare('SELECT kind, id, at FROM deadline'),
    deadline: database.prepare('INSERT INTO deadline (kind, id, at) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at'),
    clearDeadline: database.prepare('DELETE FROM deadline WHERE kind = ? AND id = ?'),
    pending: database.prepare('SELECT * FROM outbox WHERE outbox_id > ? ORDER BY outbox_id LIMIT ?'),
    pendingOf: database.prepare('SELECT outbox_id FROM outbox WHERE kind = ? AND id = ?'),
    lastPending: database.prepare('SELECT max(outbox_id) AS outbox_id FROM outbox'),
    enqueue: database.prepare('INSERT INTO outbox (outbox_id, kind, id, type, lane, data, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)'),
    done: database.prepare('DELETE FROM outbox WHERE outbox_id = ?'),
    counter: database.prepare('SELECT value FROM counter WHERE name = ?'),
    count: database.prepare('UPDATE counter SET value = ? WHERE name = ?'),
    log: database.prepare('SELECT text, bytes FROM log ORDER BY position'),
    append: database.prepare('INSERT INTO log (text, bytes) VALUES (?, ?)'),
    clearLog: database.prepare('DELETE FROM log'),
  }
  const columns = (records: readonly unknown[]): readonly Columns[] => records as readonly Columns[]

  /** One statement for each combination of conditions, so that each can use its index. */
  const listPage = (kind: string, { parent, state, open, after, prefix = '', descending = false, limit }: ListWhere): readonly Columns[] => {
    const conditions = ['kind = ?']
    const values: SQLInputValue[] = [kind]
    const where = (condition: string, value: SQLInputValue | undefined): void => {
      if (value === undefined) return
      conditions.push(condition)
      values.push(value)
    }
    where('parent = ?', parent)
    where('state = ?', state)
    // As a literal: the index of what is open is known to serve it.
    if (open !== undefined) conditions.push(open ? 'open = 1' : 'open = 0')
    where(descending ? 'id < ?' : 'id > ?', after)
    where('id >= ?', prefix === '' ? undefined : prefix)
    where('id < ?', prefixEnd(prefix))
    const sql = `SELECT * FROM object WHERE ${conditions.join(' AND ')} ORDER BY id${descending ? ' DESC' : ''} LIMIT ?`
    const statement = lists.get(sql) ?? database.prepare(sql)
    lists.set(sql, statement)
    return columns(statement.all(...values, limit))
  }

  const count = (name: string): number => Number(statements.counter.get(name)?.['value'])

  return {
    get(kind, id) {
      const cached = cache.get(kind, id)
      if (cached) return cached
      const record = statements.get.get(kind, id) as unknown as Columns | undefined
      if (!record) return undefined
      const row = rowOf(record)
      cache.set(row, record.data.length)
      return row
    },
    list: function* (kind, where) {
      const more = { ...where }
      for (;;) {
        const page = listPage(kind, more)
        for (const record of page) yield cache.get(kind, record.id) ?? rowOf(record)
        const last = page.at(-1)
        if (last === undefined || page.length < more.limit) return
        Object.assign(more, { after: last.id, limit: Math.max(where.limit, 64) })
      }
    },
    history: (kind, id, after, limit) => columns(statements.history.all(kind, id, after, limit)).map(entryOf),
    groupHistory(group, after, limit, hidden) {
      let from = after
      return visible(
        limit,
        (most) => columns(statements.groupHistory.all(group, from, most)),
        ({ kind, id }) => hidden(kind, id),
        ({ sequence }) => {
          from = sequence
        },
      ).map(entryOf)
    },
    pending(after, limit, hidden) {
      let from = after
      return visible(
        limit,
        (most) => columns(statements.pending.all(from, most)),
        ({ outbox_id }) => hidden(outbox_id),
        ({ outbox_id }) => {
          from = outbox_id
        },
      ).map(outboxEntryOf)
    },
    pendingOf: (kind, id) => columns(statements.pendingOf.all(kind, id)).map(({ outbox_id }) => outbox_id),
    readDeadlines(into) {
      for (const { kind, id, at } of columns(statements.deadlines.all())) {
        const key = objectKey(kind, id)
        setDue(into, key, { key, kind, id, at })
      }
    },
    readLog: () => statements.log.all() as unknown as readonly Written[],
    counters: () => ({ sequence: count('sequence'), outboxId: count('outbox'), storedOutboxId: Number(statements.lastPending.get()?.['outbox_id'] ?? 0) }),
    append({ text, bytes }) {
      statements.append.run(text, bytes)
    },
    apply(overlay) {
      const sizes = new Map<Row, number>()
      statements.begin.run()
      for (const { kind, id } of overlay.removed.values()) {
        statements.remove.run(kind, id)
        statements.forget.run(kind, id)
      }
      for (const rows of overlay.rows.values()) {
        for (const row of rows.values()) {
          const { kind, id, parent, state, open, version, data } = row
          const text = JSON.stringify(data)
          statements.put.run(kind, id, parent ?? null, state, Number(open), version, text)
          sizes.set(row, text.length)
        }
      }
      // In the order of their sequences, so that the table only grows at its end.
      for (const { kind, id, sequence, group, at, data } of [...overlay.history.values()].flat().sort(bySequence)) {
        statements.record.run(sequence, kind, id, group ?? null, at, JSON.stringify(data))
      }
      for (const [key, { kind, id, stored }] of overlay.moved) {
        const due = overlay.deadlines.get(key)
        if (due) statements.deadline.run(kind, id, due.at)
        else if (stored) statements.clearDeadline.run(kind, id)
      }
      for (const outboxId of overlay.done) statements.done.run(outboxId)
      for (const { outboxId, kind, id, type, lane, data, bytes } of overlay.outbox.values()) {
        statements.enqueue.run(outboxId, kind, id, type, lane, JSON.stringify(data), bytes ?? null)
      }
      statements.count.run(overlay.sequence, 'sequence')
      statements.count.run(overlay.outboxId, 'outbox')
      statements.clearLog.run()
      statements.commit.run()
      for (const { kind, id } of overlay.removed.values()) cache.delete(kind, id)
      for (const [row, size] of sizes) cache.set(row, size)
    },
    rollback() {
      statements.rollback.run()
    },
  }
}
