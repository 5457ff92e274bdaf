import { closeSync, openSync } from 'node:fs'
import { resolve } from 'node:path'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import {
  checkedAfter,
  checkedCount,
  checkedEffect,
  checkedEntry,
  checkedName,
  checkedNumber,
  checkedRow,
  checkedTime,
  checkedWhere,
  refusePromise,
} from './checked.ts'
import {
  type Data,
  type HistoryEntry,
  type ListWhere,
  type OutboxEntry,
  type Reader,
  type Row,
  type StateStore,
  StateStoreError,
  type StateStoreErrorCode,
  type Transaction,
} from './index.ts'
import { prepareDatabase } from './sqlite-schema.ts'

export interface SqliteStateStoreOptions {
  /** The file. Its directory must exist, on a local disk. `-wal` stands beside it while it is in use. */
  readonly path: string
  /** How long to wait, blocking, for another process to let go of the file before `store-locked`, in milliseconds. Default 500. */
  readonly busyTimeout?: number
}

/** SQLite's primary result codes: https://www.sqlite.org/rescode.html */
const codes: Readonly<Record<number, StateStoreErrorCode>> = {
  5: 'store-locked',
  6: 'store-locked',
  11: 'store-corrupt',
  26: 'store-corrupt',
}

const advice: Partial<Record<StateStoreErrorCode, string>> = {
  'store-locked': 'another process, or another part of this one, has it open: only one node can use a state store',
  'store-corrupt': 'it is damaged, or not a state store',
  'store-unavailable': 'check that its directory exists, can be written, and has space',
}

const translated = (error: unknown, path: string): unknown => {
  if (error instanceof StateStoreError || !(error instanceof Error)) return error
  const { errcode } = error as { errcode?: number }
  const code = errcode === undefined ? 'store-unavailable' : (codes[errcode & 0xff] ?? 'store-unavailable')
  return new StateStoreError(code, `${path}: ${error.message}: ${advice[code]}`, { cause: error })
}

/**
 * What the node has not yet revealed stands in the file: it is for its user's eyes only, and SQLite gives the log the rights of the file. Only ever a new file: to open and
 * close one that this process has open already would drop SQLite's lock on it (https://www.sqlite.org/howtocorrupt.html, 2.2).
 */
const createPrivate = (path: string): void => {
  try {
    closeSync(openSync(path, 'ax', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

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

const statementsOf = (database: DatabaseSync) => {
  const lists = new Map<string, StatementSync>()
  return {
    begin: database.prepare('BEGIN IMMEDIATE'),
    commit: database.prepare('COMMIT'),
    rollback: database.prepare('ROLLBACK'),
    savepoint: database.prepare('SAVEPOINT nested'),
    release: database.prepare('RELEASE nested'),
    rollbackTo: database.prepare('ROLLBACK TO nested'),
    get: database.prepare('SELECT * FROM object WHERE kind = ? AND id = ?'),
    put: database.prepare(
      `INSERT INTO object (kind, id, parent, state, open, version, data) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET parent = excluded.parent, state = excluded.state, open = excluded.open, version = excluded.version, data = excluded.data`,
    ),
    remove: database.prepare('DELETE FROM object WHERE kind = ? AND id = ?'),
    history: database.prepare('SELECT * FROM history WHERE kind = ? AND id = ? AND sequence > ? ORDER BY sequence LIMIT ?'),
    groupHistory: database.prepare('SELECT * FROM history WHERE group_id = ? AND sequence > ? ORDER BY sequence LIMIT ?'),
    record: database.prepare('INSERT INTO history (kind, id, group_id, at, data) VALUES (?, ?, ?, ?, ?)'),
    forget: database.prepare('DELETE FROM history WHERE kind = ? AND id = ?'),
    due: database.prepare('SELECT kind, id, at FROM deadline WHERE at <= ? ORDER BY at, kind, id LIMIT ?'),
    nextDeadline: database.prepare('SELECT min(at) AS at FROM deadline'),
    deadline: database.prepare('INSERT INTO deadline (kind, id, at) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at'),
    clearDeadline: database.prepare('DELETE FROM deadline WHERE kind = ? AND id = ?'),
    pending: database.prepare('SELECT * FROM outbox WHERE outbox_id > ? ORDER BY outbox_id LIMIT ?'),
    enqueue: database.prepare('INSERT INTO outbox (kind, id, type, lane, data, bytes) VALUES (?, ?, ?, ?, ?, ?)'),
    done: database.prepare('DELETE FROM outbox WHERE outbox_id = ?'),
    cancel: database.prepare('DELETE FROM outbox WHERE kind = ? AND id = ?'),
    /** One statement for each combination of conditions, so that each can use its index. */
    list(kind: string, { parent, state, open, after, limit }: ListWhere) {
      const conditions = ['kind = ?']
      const values: SQLInputValue[] = [kind]
      const where = (condition: string, value: SQLInputValue | undefined): void => {
        if (value === undefined) return
        conditions.push(condition)
        values.push(value)
      }
      where('parent = ?', parent)
      where('state = ?', state)
      where('open = ?', open === undefined ? undefined : Number(open))
      where('id > ?', after)
      const sql = `SELECT * FROM object WHERE ${conditions.join(' AND ')} ORDER BY id LIMIT ?`
      const statement = lists.get(sql) ?? database.prepare(sql)
      lists.set(sql, statement)
      return statement.all(...values, limit)
    },
  }
}

/**
 * A state store in one SQLite file: WAL, `synchronous = FULL`, one commit for each `transact`, durable when that returns. The file is locked while it is open.
 *
 * @example
 * using store = sqliteStateStore({ path: 'state.db' })
 * store.transact((tx) => tx.put({ kind: 'job', id: 'j1', state: 'queued', open: true, version: 1, data: {} }))
 */
export const sqliteStateStore = (options: SqliteStateStoreOptions): StateStore => {
  // Absolute, so that neither `:memory:` nor a `file:` address is anything but a file name.
  const path = resolve(options.path)
  const busyTimeout = checkedCount(options.busyTimeout ?? 500, 'busyTimeout')
  let database: DatabaseSync | undefined
  let statements: ReturnType<typeof statementsOf>
  try {
    createPrivate(path)
    database = new DatabaseSync(path)
    prepareDatabase(database, path, busyTimeout)
    statements = statementsOf(database)
  } catch (error) {
    database?.close()
    throw translated(error, path)
  }
  const connection = database
  let busy: 'no' | 'read' | 'write' = 'no'
  let closed = false
  /** SQLite failed inside the transaction and may have ended it: nothing of it can be kept, whoever catches the error on the way. */
  let broken: { readonly error: unknown } | undefined

  const usable = (mode: 'read' | 'write'): void => {
    if (busy === 'no') throw new StateStoreError('transaction-ended', 'this transaction is over: use it only inside the work it was given to')
    if (mode === 'write' && busy === 'read') throw new StateStoreError('transaction-ended', 'this transaction is over: `read` cannot write')
    if (broken) throw broken.error
  }

  const guarded = <T>(run: () => T): T => {
    try {
      return run()
    } catch (error) {
      const failure = translated(error, path)
      if (busy === 'write') broken ??= { error: failure }
      throw failure
    }
  }

  const query = <T>(run: () => T): T => {
    usable('read')
    return guarded(run)
  }

  const write = <T>(run: () => T): T => {
    usable('write')
    return guarded(run)
  }

  const parsed = (text: string): Data => {
    try {
      return JSON.parse(text) as Data
    } catch (cause) {
      throw new StateStoreError('store-corrupt', `${path} holds data that is not JSON: ${advice['store-corrupt']}`, { cause })
    }
  }

  const rowOf = (record: unknown): Row => {
    const { kind, id, parent, state, open, version, data } = record as Columns
    return { kind, id, ...(parent === null ? {} : { parent }), state, open: open === 1, version, data: parsed(data) }
  }

  const outboxEntryOf = (record: unknown): OutboxEntry => {
    const { outbox_id, kind, id, type, lane, data, bytes } = record as Columns
    return { outboxId: outbox_id, kind, id, type, lane, data: parsed(data), ...(bytes === null ? {} : { bytes }) }
  }

  const entryOf = (record: unknown): HistoryEntry => {
    const { sequence, kind, id, group_id, at, data } = record as Columns
    return { sequence, kind, id, ...(group_id === null ? {} : { group: group_id }), at, data: parsed(data) }
  }

  const reader: Reader = {
    get(kind, id) {
      return query(() => {
        const record = statements.get.get(kind, id)
        return record && rowOf(record)
      })
    },
    list(kind, where) {
      checkedWhere(where)
      return query(() => statements.list(kind, where).map(rowOf))
    },
    history(kind, id, after, limit) {
      checkedAfter(after, 'after')
      checkedCount(limit, 'limit')
      return query(() => statements.history.all(kind, id, after, limit).map(entryOf))
    },
    groupHistory(group, after, limit) {
      checkedAfter(after, 'after')
      checkedCount(limit, 'limit')
      return query(() => statements.groupHistory.all(group, after, limit).map(entryOf))
    },
    due(now, limit) {
      checkedTime(now, 'now')
      checkedCount(limit, 'limit')
      return query(() =>
        statements.due.all(now, limit).map((record) => {
          const { kind, id, at } = record as unknown as Columns
          return { kind, id, at }
        }),
      )
    },
    nextDeadline() {
      return query(() => (statements.nextDeadline.get() as { at: number | null } | undefined)?.at ?? undefined)
    },
    pending(after, limit) {
      checkedAfter(after, 'after')
      checkedCount(limit, 'limit')
      return query(() => statements.pending.all(after, limit).map(outboxEntryOf))
    },
  }

  const transaction: Transaction = {
    ...reader,
    nested(work) {
      write(() => statements.savepoint.run())
      try {
        const result = work()
        refusePromise(result)
        write(() => statements.release.run())
        return result
      } catch (error) {
        if (!broken) {
          guarded(() => {
            statements.rollbackTo.run()
            statements.release.run()
          })
        }
        throw error
      }
    },
    put(row) {
      const { kind, id, parent, state, open, version, data } = checkedRow(row)
      write(() => statements.put.run(kind, id, parent ?? null, state, Number(open), version, JSON.stringify(data)))
    },
    remove(kind, id) {
      checkedName(kind, 'kind')
      checkedName(id, 'id')
      write(() => {
        statements.remove.run(kind, id)
        statements.forget.run(kind, id)
        statements.clearDeadline.run(kind, id)
      })
    },
    record(entry) {
      const { kind, id, group, at, data } = checkedEntry(entry)
      return write(() => Number(statements.record.run(kind, id, group ?? null, at, JSON.stringify(data)).lastInsertRowid))
    },
    deadline(kind, id, at) {
      checkedName(kind, 'kind')
      checkedName(id, 'id')
      if (at !== undefined) checkedNumber(at, 'at')
      write(() => (at === undefined ? statements.clearDeadline.run(kind, id) : statements.deadline.run(kind, id, at)))
    },
    enqueue(effect) {
      const { kind, id, type, lane, data, bytes } = checkedEffect(effect)
      return write(() => Number(statements.enqueue.run(kind, id, type, lane, JSON.stringify(data), bytes ?? null).lastInsertRowid))
    },
    done(outboxId) {
      checkedAfter(outboxId, 'outboxId')
      write(() => statements.done.run(outboxId))
    },
    cancel(kind, id) {
      checkedName(kind, 'kind')
      checkedName(id, 'id')
      write(() => statements.cancel.run(kind, id))
    },
  }

  const begin = (mode: 'read' | 'write'): void => {
    if (closed) throw new StateStoreError('store-closed', `${path}: the state store was disposed`)
    if (busy !== 'no') throw new StateStoreError('reentrant', 'the state store is in a transaction already: use the one that is open')
    if (mode === 'write') guarded(() => statements.begin.run())
    busy = mode
  }

  const close = (): void => {
    closed = true
    // The last connection's close writes the log into the file and removes it.
    connection.close()
  }

  return {
    transact(work) {
      begin('write')
      try {
        const result = work(transaction)
        refusePromise(result)
        if (broken) throw broken.error
        guarded(() => statements.commit.run())
        return result
      } catch (error) {
        try {
          if (connection.isTransaction) statements.rollback.run()
        } catch (cause) {
          close()
          throw new StateStoreError('store-closed', `${path}: a transaction could not be undone, so the state store was closed: open it again`, { cause })
        }
        throw error
      } finally {
        broken = undefined
        busy = 'no'
      }
    },
    read(work) {
      begin('read')
      try {
        return work(reader)
      } finally {
        busy = 'no'
      }
    },
    [Symbol.dispose]() {
      if (busy !== 'no') throw new StateStoreError('reentrant', 'the state store is in a transaction: dispose it afterwards')
      if (!closed) close()
    },
  }
}
