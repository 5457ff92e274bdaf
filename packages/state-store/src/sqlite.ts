import type { StateStore } from './index.ts'
import { openSqliteStore, type SqliteStateStoreOptions } from './sqlite-store.ts'

export type { SqliteStateStoreOptions } from './sqlite-store.ts'

/** What is put again soon, or done soon, never gets from the log into the tables. Larger ones save little more and make a start slower. */
const limits = { changes: 16_384, bytes: 8 * 2 ** 20, cache: 8 * 2 ** 20 }

/**
 * A state store in one SQLite file: WAL, `synchronous = FULL`, one commit for each `transact` that wrote something, durable when that returns. The file is locked
 * while it is open.
 *
 * A commit appends what the transaction wrote to a log in the file; the tables are brought up to date for many transactions at once. Until then what was written lies
 * over the tables, in memory; a new start reads it from the log.
 *
 * @example
 * using store = sqliteStateStore({ path: 'state.db' })
 * store.transact((tx) => tx.put({ kind: 'job', id: 'j1', state: 'queued', open: true, version: 1, data: {} }))
 */
export const sqliteStateStore = (options: SqliteStateStoreOptions): StateStore => openSqliteStore(options, limits)
