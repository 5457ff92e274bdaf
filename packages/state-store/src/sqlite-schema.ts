import type { DatabaseSync } from 'node:sqlite'
import { StateStoreError } from './errors.ts'

/** "skrs": marks a file as a state store, so that somebody else's database is not taken for one. */
const APPLICATION_ID = 0x736b7273
/** Raise it with every change of the schema, and add the step from the version before. */
const VERSION = 4

/** `log` has, a row for each transaction, what the other tables do not have yet. Sequences and outbox ids are given by the store: `counter` has the last ones. */
const log = `
  CREATE TABLE log (position INTEGER PRIMARY KEY, text TEXT NOT NULL, bytes BLOB) STRICT;
  CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`

const schema = `
  CREATE TABLE object (
    kind TEXT NOT NULL, id TEXT NOT NULL, parent TEXT, state TEXT NOT NULL, open INTEGER NOT NULL, version INTEGER NOT NULL, data TEXT NOT NULL,
    PRIMARY KEY (kind, id)
  ) STRICT;
  CREATE INDEX object_parent ON object (kind, parent, id) WHERE parent IS NOT NULL;
  CREATE INDEX object_state ON object (kind, state, id);
  CREATE INDEX object_open ON object (kind, id) WHERE open = 1;

  CREATE TABLE history (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL, group_id TEXT, at REAL NOT NULL, data TEXT NOT NULL
  ) STRICT;
  CREATE INDEX history_object ON history (kind, id, sequence);
  CREATE INDEX history_group ON history (group_id, sequence) WHERE group_id IS NOT NULL;

  CREATE TABLE deadline (kind TEXT NOT NULL, id TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (kind, id)) STRICT, WITHOUT ROWID;

  CREATE TABLE outbox (
    outbox_id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL, lane TEXT NOT NULL, data TEXT NOT NULL, bytes BLOB
  ) STRICT;
  CREATE INDEX outbox_object ON outbox (kind, id);
  ${log}
  INSERT INTO counter VALUES ('sequence', 0), ('outbox', 0);
`

/** From each earlier version to the one after it, version 1 first. */
const steps: readonly string[] = [
  `ALTER TABLE history ADD COLUMN group_id TEXT;
   CREATE INDEX history_group ON history (group_id, sequence) WHERE group_id IS NOT NULL;`,
  `${log}
   INSERT INTO counter
     SELECT 'sequence', coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'history'), 0)
     UNION ALL SELECT 'outbox', coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0);
   DROP INDEX deadline_at;`,
  // The log is written in another form, which an earlier version cannot read. What is over is many, and its index was looked at by nobody.
  `DROP INDEX object_open;
   CREATE INDEX object_open ON object (kind, id) WHERE open = 1;`,
]

const pragma = (database: DatabaseSync, name: string): unknown => Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0]

/** Takes the file for this process alone, checks that it is ours to use, creates the tables in a new one, and brings those of an earlier version up to date. */
export const prepareDatabase = (database: DatabaseSync, path: string, busyTimeout: number): void => {
  database.exec(`PRAGMA busy_timeout = ${busyTimeout}`)
  // Set before the first access: the lock is then held until the file is closed, and WAL needs no shared memory beside it.
  database.exec('PRAGMA locking_mode = EXCLUSIVE')
  const application = pragma(database, 'application_id')
  const version = Number(pragma(database, 'user_version'))
  const tables = Number(database.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.['n'])
  const fresh = application === 0 && version === 0 && tables === 0
  if (!fresh && application !== APPLICATION_ID) {
    throw new StateStoreError('store-corrupt', `${path} is a database of another program, not a state store: choose another path`)
  }
  if (version > VERSION) {
    throw new StateStoreError(
      'store-newer',
      `${path} was written by a newer version (schema ${version}, this one knows ${VERSION}): update this program, or choose another path`,
    )
  }
  if (pragma(database, 'journal_mode = WAL') !== 'wal') {
    throw new StateStoreError('store-unavailable', `${path} cannot keep a write-ahead log: choose a path on a local disk`)
  }
  database.exec('PRAGMA synchronous = FULL')
  database.exec('BEGIN IMMEDIATE')
  if (fresh) {
    database.exec(schema)
    database.exec(`PRAGMA application_id = ${APPLICATION_ID}`)
  } else {
    for (const step of steps.slice(Math.max(0, version - 1))) database.exec(step)
  }
  if (version !== VERSION) database.exec(`PRAGMA user_version = ${VERSION}`)
  database.exec('COMMIT')
}
