import { closeSync, openSync } from 'node:fs'
import { resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { readChanges, type Written, writtenChanges } from './change-log.ts'
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
import { type Reader, type Row, type StateStore, StateStoreError, type StateStoreErrorCode, type Transaction } from './index.ts'
import { dueBy, pendingOf } from './memory-tables.ts'
import { overlaidReader } from './overlaid-reader.ts'
import { type Change, change, emptyOverlay, keepChanges, keepLogged, type Overlay, settled, undoTo } from './overlay.ts'
import { prepareDatabase } from './sqlite-schema.ts'
import { type SqliteTables, sqliteTables } from './sqlite-tables.ts'

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
  if (error instanceof SyntaxError) {
    return new StateStoreError('store-corrupt', `${path} holds data that is not JSON: ${advice['store-corrupt']}`, { cause: error })
  }
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

export interface SqliteStoreLimits {
  /** The tables are brought up to date once the log holds so many writes, */
  readonly changes: number
  /** or so many bytes. */
  readonly bytes: number
  /** How much of the tables' rows is kept in memory: bytes of text, as objects they take a few times as much. */
  readonly cache: number
}

const sizeOf = ({ text, bytes }: Written): number => text.length + (bytes?.length ?? 0)

interface Opened {
  readonly tables: SqliteTables
  readonly overlay: Overlay
  /** How much the log holds. */
  readonly logged: { changes: number; bytes: number }
}

/** What the tables hold, and over it what the log does. */
const openTables = (database: DatabaseSync, cache: number): Opened => {
  const tables = sqliteTables(database, cache)
  const { sequence, outboxId, storedOutboxId } = tables.counters()
  const overlay = emptyOverlay(sequence, outboxId, { sequence, outboxId: storedOutboxId })
  const logged = { changes: 0, bytes: 0 }
  tables.readDeadlines(overlay)
  for (const written of tables.readLog()) {
    const rowOf = (kind: string, id: string): Row | undefined => overlay.rows.get(kind)?.get(id)
    for (const made of readChanges(written, rowOf)) change(overlay, made)
    logged.changes += overlay.changes.length
    keepChanges(overlay)
    logged.bytes += sizeOf(written)
  }
  return { tables, overlay, logged }
}

/** The driver behind `sqliteStateStore`. */
export const openSqliteStore = (options: SqliteStateStoreOptions, limits: SqliteStoreLimits): StateStore => {
  // Absolute, so that neither `:memory:` nor a `file:` address is anything but a file name.
  const path = resolve(options.path)
  const busyTimeout = checkedCount(options.busyTimeout ?? 500, 'busyTimeout')
  let database: DatabaseSync | undefined
  let opened: Opened
  try {
    createPrivate(path)
    database = new DatabaseSync(path)
    prepareDatabase(database, path, busyTimeout)
    opened = openTables(database, limits.cache)
  } catch (error) {
    database?.close()
    throw translated(error, path)
  }
  const connection = database
  const { tables, overlay, logged } = opened
  let busy: 'no' | 'read' | 'write' = 'no'
  let closed = false
  /** SQLite failed inside the transaction: nothing of it can be kept, whoever catches the error on the way. */
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

  const write = (made: Change): void => {
    usable('write')
    change(overlay, made)
  }

  const view = overlaidReader(tables, overlay)

  const reader: Reader = {
    get: (kind, id) => query(() => view.get(kind, id)),
    list(kind, where) {
      checkedWhere(where)
      return query(() => view.list(kind, where))
    },
    history(kind, id, after, limit) {
      checkedAfter(after, 'after')
      checkedCount(limit, 'limit')
      return query(() => view.history(kind, id, after, limit))
    },
    groupHistory(group, after, limit) {
      checkedAfter(after, 'after')
      checkedCount(limit, 'limit')
      return query(() => view.groupHistory(group, after, limit))
    },
    due(now, limit) {
      checkedTime(now, 'now')
      checkedCount(limit, 'limit')
      usable('read')
      return dueBy(overlay, now, limit)
    },
    nextDeadline() {
      usable('read')
      return overlay.dueOrder.first()?.at
    },
    pending(after, limit) {
      checkedAfter(after, 'after')
      checkedCount(limit, 'limit')
      return query(() => view.pending(after, limit))
    },
  }

  const transaction: Transaction = {
    ...reader,
    nested(work) {
      usable('write')
      const mark = overlay.changes.length
      try {
        const result = work()
        refusePromise(result)
        usable('write')
        return result
      } catch (error) {
        undoTo(overlay, mark)
        throw error
      }
    },
    put(row) {
      write({ do: 'put', row: checkedRow(row) })
    },
    remove(kind, id) {
      write({ do: 'remove', kind: checkedName(kind, 'kind'), id: checkedName(id, 'id') })
    },
    record(entry) {
      const kept = checkedEntry(entry)
      const sequence = overlay.sequence + 1
      write({ do: 'record', entry: Object.freeze({ sequence, ...kept }) })
      return sequence
    },
    deadline(kind, id, at) {
      write({ do: 'deadline', kind: checkedName(kind, 'kind'), id: checkedName(id, 'id'), at: at === undefined ? undefined : checkedNumber(at, 'at') })
    },
    enqueue(effect) {
      const kept = checkedEffect(effect)
      const outboxId = overlay.outboxId + 1
      write({ do: 'enqueue', entry: Object.freeze({ outboxId, ...kept }) })
      return outboxId
    },
    done(outboxId) {
      write({ do: 'done', outboxId: checkedAfter(outboxId, 'outboxId') })
    },
    cancel(kind, id) {
      checkedName(kind, 'kind')
      checkedName(id, 'id')
      usable('write')
      for (const outboxId of guarded(() => tables.pendingOf(kind, id))) change(overlay, { do: 'done', outboxId })
      for (const outboxId of pendingOf(overlay, kind, id)) change(overlay, { do: 'done', outboxId })
    },
  }

  const begin = (mode: 'read' | 'write'): void => {
    if (closed) throw new StateStoreError('store-closed', `${path}: the state store was disposed`)
    if (busy !== 'no') throw new StateStoreError('reentrant', 'the state store is in a transaction already: use the one that is open')
    busy = mode
  }

  const applyAll = (): void => {
    tables.apply(overlay)
    settled(overlay)
    logged.changes = 0
    logged.bytes = 0
  }

  /** Most transactions cost one row of the log. */
  const append = (written: Written): void => {
    tables.append(written)
    logged.changes += overlay.changes.length
    logged.bytes += sizeOf(written)
    keepLogged(overlay)
  }

  const commit = (): void => {
    const { length } = overlay.changes
    if (length === 0) return
    const written = logged.changes + length <= limits.changes ? writtenChanges(overlay) : undefined
    if (written && logged.bytes + sizeOf(written) <= limits.bytes) append(written)
    else applyAll()
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
        guarded(commit)
        return result
      } catch (error) {
        undoTo(overlay, 0)
        // Should the log have what it said that it could not take: nothing is written as a change of that.
        overlay.inLog.clear()
        try {
          if (connection.isTransaction) tables.rollback()
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
      if (closed) return
      try {
        if (logged.changes > 0) applyAll()
      } catch {
        // It is in the log, and the next start applies it.
      }
      close()
    },
  }
}
