import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { requireData } from './data.ts'
import type { Data, Deadline, Effect, HistoryEntry, ListWhere, OutboxEntry, Reader, Row, StateStore, Transaction } from './index.ts'
import { StateStoreError } from './state-store-error.ts'

export interface SqliteOptions {
  /** The database file; its directory exists. Beside it lie `-wal` and `-shm`. */
  readonly path: string
}

/** Raised when the tables change; kept in `user_version`. */
const schemaVersion = 1

const schema = `
  CREATE TABLE row (kind TEXT NOT NULL, id TEXT NOT NULL, parent TEXT, state TEXT NOT NULL, open INTEGER NOT NULL, version INTEGER NOT NULL, data TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
  CREATE INDEX row_parent ON row (kind, parent, id) WHERE parent IS NOT NULL;
  CREATE INDEX row_open ON row (kind, id) WHERE open = 1;
  CREATE INDEX row_parent_open ON row (kind, parent, id) WHERE parent IS NOT NULL AND open = 1;
  CREATE INDEX row_state ON row (kind, state, id) WHERE open = 1;
  CREATE TABLE history (sequence INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL, at REAL NOT NULL, data TEXT NOT NULL);
  CREATE INDEX history_object ON history (kind, id, sequence);
  CREATE TABLE deadline (kind TEXT NOT NULL, id TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
  CREATE INDEX deadline_at ON deadline (at, kind, id);
  CREATE TABLE outbox (outboxId INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL, lane TEXT NOT NULL, data TEXT NOT NULL, bytes BLOB);
  CREATE INDEX outbox_object ON outbox (kind, id);
`

/** A state store in one SQLite file: WAL, synchronous FULL, one commit a transaction. The file is locked while the store is open. */
export const sqliteStateStore = ({ path }: SqliteOptions): StateStore => {
  const database = openDatabase(path)
  const statements = new Map<string, StatementSync>()
  const statement = (sql: string): StatementSync => {
    const known = statements.get(sql)
    if (known) return known
    const made = database.prepare(sql)
    statements.set(sql, made)
    return made
  }
  const one = (sql: string, ...values: SQLInputValue[]): Columns | undefined => statement(sql).get(...values) as Columns | undefined
  const all = (sql: string, ...values: SQLInputValue[]): readonly Columns[] => statement(sql).all(...values) as unknown as readonly Columns[]
  const run = (sql: string, ...values: SQLInputValue[]): number => Number(statement(sql).run(...values).lastInsertRowid)

  let depth = 0
  let closed = false
  const usable = (): void => {
    if (closed) throw new StateStoreError('store-closed', `the store at ${path} is closed`)
  }

  const reader: Reader = {
    get: (kind, id) => {
      const found = one('SELECT * FROM row WHERE kind = ? AND id = ?', kind, id)
      return found && rowOf(found)
    },
    list: (kind, where) => {
      const { sql, values } = listQuery(kind, where)
      return all(sql, ...values).map(rowOf)
    },
    history: (kind, id, after, limit) =>
      all('SELECT * FROM history WHERE kind = ? AND id = ? AND sequence > ? ORDER BY sequence LIMIT ?', kind, id, after, limit).map(
        (columns): HistoryEntry => ({
          sequence: Number(columns['sequence']),
          kind: String(columns['kind']),
          id: String(columns['id']),
          at: Number(columns['at']),
          data: dataOf(columns),
        }),
      ),
    due: (now, limit) =>
      all('SELECT * FROM deadline WHERE at <= ? ORDER BY at, kind, id LIMIT ?', now, limit).map(
        (columns): Deadline => ({ kind: String(columns['kind']), id: String(columns['id']), at: Number(columns['at']) }),
      ),
    nextDeadline: () => {
      const found = one('SELECT at FROM deadline ORDER BY at LIMIT 1')
      return found && Number(found['at'])
    },
    pending: (after, limit) => all('SELECT * FROM outbox WHERE outboxId > ? ORDER BY outboxId LIMIT ?', after, limit).map(effectOf),
  }

  const transaction: Transaction = {
    ...reader,
    nested: (work) => {
      const savepoint = `s${++depth}`
      database.exec(`SAVEPOINT ${savepoint}`)
      try {
        const result = work()
        database.exec(`RELEASE ${savepoint}`)
        return result
      } catch (error) {
        database.exec(`ROLLBACK TO ${savepoint}; RELEASE ${savepoint}`)
        throw error
      } finally {
        depth--
      }
    },
    put: ({ kind, id, parent, state, open, version, data }) => {
      run(
        'INSERT INTO row (kind, id, parent, state, open, version, data) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET parent = excluded.parent, state = excluded.state, open = excluded.open, version = excluded.version, data = excluded.data',
        kind,
        id,
        parent ?? null,
        state,
        open ? 1 : 0,
        version,
        textOf(data, `${kind} ${id}`),
      )
    },
    remove: (kind, id) => void run('DELETE FROM row WHERE kind = ? AND id = ?', kind, id),
    record: ({ kind, id, at, data }) =>
      run('INSERT INTO history (kind, id, at, data) VALUES (?, ?, ?, ?)', kind, id, at, textOf(data, `history of ${kind} ${id}`)),
    deadline: (kind, id, at) => {
      if (at === undefined) run('DELETE FROM deadline WHERE kind = ? AND id = ?', kind, id)
      else
        run(
          'INSERT INTO deadline (kind, id, at) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at',
          kind,
          id,
          finite(at, `deadline of ${kind} ${id}`),
        )
    },
    enqueue: ({ kind, id, type, lane, data, bytes }: Effect) =>
      run(
        'INSERT INTO outbox (kind, id, type, lane, data, bytes) VALUES (?, ?, ?, ?, ?, ?)',
        kind,
        id,
        type,
        lane,
        textOf(data, `effect ${type} of ${kind} ${id}`),
        bytes ?? null,
      ),
    done: (outboxId) => void run('DELETE FROM outbox WHERE outboxId = ?', outboxId),
    cancel: (kind, id) => void run('DELETE FROM outbox WHERE kind = ? AND id = ?', kind, id),
  }

  return {
    transact: (work) => {
      usable()
      if (depth > 0) throw new StateStoreError('reentrant', 'a transaction is running: use the one that was given to its work')
      depth = 1
      try {
        database.exec('BEGIN IMMEDIATE')
        try {
          const result = work(transaction)
          database.exec('COMMIT')
          return result
        } catch (error) {
          // A full disk has rolled back by itself.
          if (database.isTransaction) database.exec('ROLLBACK')
          throw error
        }
      } finally {
        depth = 0
      }
    },
    read: (work) => {
      usable()
      return work(reader)
    },
    [Symbol.dispose]: () => {
      if (closed) return
      closed = true
      database.close()
    },
  }
}

type Columns = Readonly<Record<string, unknown>>

const dataOf = (columns: Columns): Data => JSON.parse(String(columns['data'])) as Data

const rowOf = (columns: Columns): Row => ({
  kind: String(columns['kind']),
  id: String(columns['id']),
  ...(columns['parent'] !== null && { parent: String(columns['parent']) }),
  state: String(columns['state']),
  open: columns['open'] === 1,
  version: Number(columns['version']),
  data: dataOf(columns),
})

const effectOf = (columns: Columns): OutboxEntry => ({
  outboxId: Number(columns['outboxId']),
  kind: String(columns['kind']),
  id: String(columns['id']),
  type: String(columns['type']),
  lane: String(columns['lane']),
  data: dataOf(columns),
  ...(columns['bytes'] instanceof Uint8Array && { bytes: columns['bytes'] }),
})

const textOf = (data: Data, where: string): string => {
  requireData(data, where)
  return JSON.stringify(data)
}

const finite = (value: number, where: string): number => {
  if (Number.isFinite(value)) return value
  throw new StateStoreError('invalid-data', `${where}: expected a finite time, found ${value}`)
}

const listQuery = (kind: string, { parent, state, open, after, limit }: ListWhere): { readonly sql: string; readonly values: readonly SQLInputValue[] } => {
  let sql = 'SELECT * FROM row WHERE kind = ?'
  const values: SQLInputValue[] = [kind]
  const and = (condition: string, value?: SQLInputValue): void => {
    sql += ` AND ${condition}`
    if (value !== undefined) values.push(value)
  }
  if (parent !== undefined) and('parent = ?', parent)
  if (state !== undefined) and('state = ?', state)
  // A literal, so that SQLite can see that a partial index covers it.
  if (open !== undefined) and(open ? 'open = 1' : 'open = 0')
  if (after !== undefined) and('id > ?', after)
  values.push(limit)
  return { sql: `${sql} ORDER BY id LIMIT ?`, values }
}

const openDatabase = (path: string): DatabaseSync => {
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(path)
    // The lock is taken by the first write and kept: exclusive mode also needs no shared memory file.
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY')
    const { user_version: version } = database.prepare('PRAGMA user_version').get() as { readonly user_version: number }
    if (version > schemaVersion) throw new StateStoreError('store-newer', `${path} has version ${version}, this release knows ${schemaVersion}`)
    database.exec('BEGIN IMMEDIATE')
    if (version === 0) database.exec(schema)
    database.exec(`PRAGMA user_version = ${schemaVersion}; COMMIT`)
    return database
  } catch (error) {
    database?.close()
    throw error instanceof StateStoreError ? error : openError(path, error)
  }
}

// https://www.sqlite.org/rescode.html
const busy = new Set([5, 6, 261, 517])
const corrupt = new Set([11, 26])

const openError = (path: string, cause: unknown): unknown => {
  const code = typeof cause === 'object' && cause !== null && 'errcode' in cause ? Number(cause.errcode) : 0
  if (busy.has(code)) return new StateStoreError('store-locked', `${path} is in use`, { cause })
  if (corrupt.has(code & 0xff)) return new StateStoreError('store-corrupt', `${path} is not a readable state store`, { cause })
  return cause
}
