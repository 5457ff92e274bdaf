import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import type { ListWhere, Row } from '../src/index.ts'
import { overlaidReader } from '../src/overlaid-reader.ts'
import { change, emptyOverlay, undoTo } from '../src/overlay.ts'
import { rowCache } from '../src/row-cache.ts'
import { sqliteStateStore } from '../src/sqlite.ts'
import { openSqliteStore } from '../src/sqlite-store.ts'
import type { SqliteTables } from '../src/sqlite-tables.ts'
import { temporaryDirectory } from './stores.ts'

const directory = temporaryDirectory()
const code = (value: string) => expect.objectContaining({ name: 'StateStoreError', code: value })

const child = (path: string, first: number) =>
  spawn(process.execPath, ['--conditions=@skrei/source', fileURLToPath(new URL('kill.child.ts', import.meta.url)), path, String(first)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })

test('nothing acknowledged is lost and nothing is torn when the process is killed, twenty times', async () => {
  const path = join(directory, 'killed.db')
  let acknowledged = 0
  for (let kill = 0; kill < 20; kill += 1) {
    const writer = child(path, acknowledged + 1)
    let said = ''
    let killAfter = 1 + ((kill * 37) % 90)
    for await (const chunk of writer.stdout.setEncoding('utf8')) {
      said += chunk
      killAfter -= (chunk as string).split('\n').length - 1
      if (killAfter <= 0) writer.kill('SIGKILL')
    }
    if (writer.exitCode === null && writer.signalCode === null) await once(writer, 'exit')
    expect(writer.signalCode).toBe('SIGKILL')
    const last = Number(said.slice(0, said.lastIndexOf('\n')).split('\n').at(-1))
    expect(last).toBeGreaterThan(acknowledged)

    using store = sqliteStateStore({ path })
    store.read((reader) => {
      const n = reader.get('counter', 'n')?.version as number
      // The last commit may have been killed before it was acknowledged.
      expect(n === last || n === last + 1).toBe(true)
      expect(reader.get('counter', 'n')?.data).toEqual({ n, filler: 'x'.repeat(n % 3000) })
      expect(reader.history('counter', 'n', 0, 1_000_000).map(({ data }) => data)).toEqual(Array.from({ length: n }, (_, index) => index + 1))
      expect(reader.pending(0, 1_000_000).map(({ data, bytes }) => [data, bytes?.length])).toEqual(
        Array.from({ length: n }, (_, index) => [index + 1, (index + 1) % 500]),
      )
      expect(reader.nextDeadline()).toBe(n)
      acknowledged = n
    })
  }
})

test('another process cannot open the file while it is in use', async () => {
  const path = join(directory, 'used.db')
  const writer = child(path, 1)
  await once(writer.stdout, 'data')
  expect(() => sqliteStateStore({ path, busyTimeout: 10 })).toThrow(code('store-locked'))
  writer.kill('SIGKILL')
  await once(writer, 'exit')
  sqliteStateStore({ path })[Symbol.dispose]()
})

test('a second opening in the same process fails, leaves the first its lock, and works once that is disposed', async () => {
  const path = join(directory, 'twice.db')
  const first = sqliteStateStore({ path })
  first.transact((tx) => tx.deadline('job', 'a', 1))
  expect(() => sqliteStateStore({ path, busyTimeout: 10 })).toThrow(code('store-locked'))
  first.transact((tx) => tx.deadline('job', 'a', 2))
  // From outside, because SQLite's lock is the process's.
  const outside = spawn(
    process.execPath,
    ['-e', `new (require('node:sqlite').DatabaseSync)(${JSON.stringify(path)}).prepare('SELECT count(*) FROM deadline').get()`],
    { stdio: 'ignore' },
  )
  expect((await once(outside, 'exit'))[0]).not.toBe(0)
  first[Symbol.dispose]()
  using second = sqliteStateStore({ path })
  expect(second.read((reader) => reader.nextDeadline())).toBe(2)
})

test('disposal leaves one file, readable by its user alone', () => {
  const path = join(directory, 'alone.db')
  const store = sqliteStateStore({ path })
  store.transact((tx) => tx.deadline('job', 'a', 1))
  expect(existsSync(`${path}-wal`)).toBe(true)
  expect(statSync(`${path}-wal`).mode & 0o777).toBe(0o600)
  store[Symbol.dispose]()
  expect(readdirSync(directory).filter((name) => name.startsWith('alone'))).toEqual(['alone.db'])
  expect(statSync(path).mode & 0o777).toBe(0o600)
})

test('a file of a newer version, of another program, or of no program is refused and not changed', () => {
  const newer = join(directory, 'newer.db')
  sqliteStateStore({ path: newer })[Symbol.dispose]()
  const database = new DatabaseSync(newer)
  database.exec('PRAGMA user_version = 99')
  database.close()
  expect(() => sqliteStateStore({ path: newer })).toThrow(code('store-newer'))
  expect(() => sqliteStateStore({ path: newer })).toThrow('update this program')

  const foreign = join(directory, 'foreign.db')
  const other = new DatabaseSync(foreign)
  other.exec('CREATE TABLE notes (text TEXT)')
  other.close()
  expect(() => sqliteStateStore({ path: foreign })).toThrow(code('store-corrupt'))
  const again = new DatabaseSync(foreign)
  expect(again.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'delete' })
  again.close()

  const garbage = join(directory, 'garbage.db')
  writeFileSync(garbage, 'this is no database'.repeat(500))
  expect(() => sqliteStateStore({ path: garbage })).toThrow(code('store-corrupt'))
  expect(() => sqliteStateStore({ path: join(directory, 'missing', 'state.db') })).toThrow(code('store-unavailable'))
  expect(() => sqliteStateStore({ path: directory })).toThrow(code('store-unavailable'))
})

// What made each version of the schema another than the one before, backwards.
const downgrades = [
  'DROP INDEX object_open; CREATE INDEX object_open ON object (kind, open, id); PRAGMA user_version = 3',
  `DROP TABLE log; DROP TABLE counter; CREATE INDEX deadline_at ON deadline (at, kind, id); PRAGMA user_version = 2`,
  `DROP INDEX history_group; ALTER TABLE history DROP COLUMN group_id; PRAGMA user_version = 1`,
]

test.each([1, 2])('a file of schema version %i is brought up to date, with what it held and what it had counted', (version) => {
  const path = join(directory, `older-${version}.db`)
  sqliteStateStore({ path })[Symbol.dispose]()
  const database = new DatabaseSync(path)
  for (const step of downgrades.slice(0, 4 - version)) database.exec(step)
  database.exec(`
    INSERT INTO history (kind, id, at, data) VALUES ('job', 'a', 1, '"kept"'), ('job', 'b', 1, '"dropped"');
    DELETE FROM history WHERE id = 'b';
    INSERT INTO outbox (kind, id, type, lane, data) VALUES ('job', 'a', 't', 'l', '"pending"'), ('job', 'a', 't', 'l', '"done"');
    DELETE FROM outbox WHERE outbox_id = 2;
    INSERT INTO deadline VALUES ('job', 'a', 5);`)
  database.close()
  for (const times of [1, 2]) {
    using store = sqliteStateStore({ path })
    store.transact((tx) => {
      expect(tx.record({ kind: 'job', id: 'a', group: 'g', at: 2, data: 'new' })).toBe(2 + times)
      expect(tx.enqueue({ kind: 'job', id: 'c', type: 't', lane: 'l', data: 'new' })).toBe(2 + times)
    })
    store.read((reader) => {
      expect(reader.history('job', 'a', 0, 1).map(({ data }) => data)).toEqual(['kept'])
      expect(reader.groupHistory('g', 0, 10)).toHaveLength(times)
      expect(reader.pending(0, 1).map(({ data }) => data)).toEqual(['pending'])
      expect(reader.nextDeadline()).toBe(5)
    })
  }
})

const small = { changes: 8, bytes: 2 ** 20, cache: 2 ** 20 }
const job = (id: string, more: Partial<Row> = {}): Row => ({ kind: 'job', id, state: 's', open: true, version: 1, data: { deep: [1] }, ...more })

test('what was undone is never read again, from memory or from the file', () => {
  for (const changes of [0, 100]) {
    using store = openSqliteStore({ path: join(directory, `undone-${changes}.db`) }, { ...small, changes })
    store.transact((tx) => tx.put(job('a')))
    const read = (): unknown => store.read((reader) => reader.get('job', 'a')?.version)
    expect(read()).toBe(1)
    expect(() =>
      store.transact((tx) => {
        tx.put(job('a', { version: 2 }))
        expect(tx.get('job', 'a')?.version).toBe(2)
        throw new Error('undone')
      }),
    ).toThrow('undone')
    expect(read()).toBe(1)
    store.transact((tx) => {
      expect(() =>
        tx.nested(() => {
          tx.remove('job', 'a')
          expect(tx.get('job', 'a')).toBeUndefined()
          tx.put(job('a', { version: 3 }))
          expect(tx.get('job', 'a')?.version).toBe(3)
          throw new Error('undone')
        }),
      ).toThrow('undone')
      expect(tx.get('job', 'a')?.version).toBe(1)
      tx.put(job('b'))
    })
    expect(read()).toBe(1)
  }
})

test('rows are frozen wherever they were read from, and one that is put back shares what it did not change', () => {
  const path = join(directory, 'frozen.db')
  sqliteStateStore({ path })[Symbol.dispose]()
  for (let time = 0; time < 3; time += 1) {
    using store = sqliteStateStore({ path })
    const row = store.transact((tx) => {
      const before = tx.get('job', 'a') ?? job('a')
      tx.put({ ...before, version: before.version + 1, data: { ...(before.data as object), time } })
      return tx.get('job', 'a') as Row
    })
    const { deep } = row.data as unknown as { readonly deep: number[] }
    expect([row.version, deep]).toEqual([time + 2, [1]])
    expect([row, row.data, deep].map(Object.isFrozen)).toEqual([true, true, true])
    expect(store.read((reader) => reader.get('job', 'a'))).toBe(row)
  }
})

test('a transaction that finds the disk full is undone whole, and what was acknowledged is there, now and after a new start', async () => {
  const path = join(directory, 'full.db')
  const script = fileURLToPath(new URL('full-disk.child.ts', import.meta.url))
  // 512-byte blocks: two MiB for the file, and for its log.
  const writer = spawn('sh', ['-c', 'ulimit -f 4096; exec "$0" --conditions=@skrei/source "$1" "$2"', process.execPath, script, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  for await (const chunk of writer.stdout.setEncoding('utf8')) said += chunk
  const { codes, n, found } = JSON.parse(said) as { codes: string[]; n: number; found: number[] }
  expect(codes).toEqual(Array(5).fill('store-unavailable'))
  expect(n).toBeGreaterThan(10)
  expect(found).toEqual([n, n, n])
  for (let starts = 0; starts < 2; starts += 1) {
    using store = sqliteStateStore({ path })
    store.read((reader) => {
      expect(reader.get('counter', 'n')?.version).toBe(n)
      expect(reader.history('counter', 'n', 0, 10_000).map(({ at }) => at)).toEqual(Array.from({ length: n }, (_, index) => index + 1))
      expect(reader.nextDeadline()).toBe(n)
    })
  }
})

test('damaged data is reported as such, and a failure inside a transaction undoes it whole although the work catches it', () => {
  const path = join(directory, 'damaged.db')
  const store = sqliteStateStore({ path })
  store.transact((tx) => tx.put({ kind: 'job', id: 'a', state: 's', open: true, version: 1, data: {} }))
  store[Symbol.dispose]()
  const database = new DatabaseSync(path)
  database.exec(`UPDATE object SET data = '{"torn'`)
  database.close()
  using reopened = sqliteStateStore({ path })
  expect(() => reopened.read((reader) => reader.get('job', 'a'))).toThrow(code('store-corrupt'))
  expect(() =>
    reopened.transact((tx) => {
      tx.deadline('job', 'a', 1)
      try {
        tx.nested(() => tx.get('job', 'a'))
      } catch {
        // As a kernel that isolates events would.
      }
    }),
  ).toThrow(code('store-corrupt'))
  expect(reopened.read((reader) => reader.nextDeadline())).toBeUndefined()
})

test('the log of a file of schema version 3 is read', () => {
  const path = join(directory, 'named-log.db')
  sqliteStateStore({ path })[Symbol.dispose]()
  const database = new DatabaseSync(path)
  database.exec(downgrades[0] as string)
  const row = { kind: 'job', id: 'a', state: 's', open: true, version: 2, data: { deep: [1] } }
  const entry = { sequence: 1, kind: 'job', id: 'a', group: 'g', at: 1, data: 'one' }
  const effect = { outboxId: 1, kind: 'job', id: 'a', type: 't', lane: 'l', data: null }
  const lines = [
    { do: 'put', row },
    { do: 'record', entry },
    { do: 'deadline', kind: 'job', id: 'a', at: 5 },
    { do: 'enqueue', entry: effect, length: 2 },
    { do: 'enqueue', entry: { ...effect, outboxId: 2 } },
    { do: 'done', outboxId: 2 },
    { do: 'put', row: { ...row, id: 'b' } },
    { do: 'remove', kind: 'job', id: 'b' },
  ]
  database.prepare('INSERT INTO log (text, bytes) VALUES (?, ?)').run(JSON.stringify(lines), Uint8Array.of(7, 8))
  database.close()
  for (const _ of [1, 2]) {
    using store = sqliteStateStore({ path })
    store.read((reader) => {
      expect(reader.list('job', { open: true, limit: 10 })).toEqual([row])
      expect(reader.groupHistory('g', 0, 10)).toEqual([entry])
      expect(reader.due(5, 10)).toEqual([{ kind: 'job', id: 'a', at: 5 }])
      expect(reader.pending(0, 10)).toEqual([{ ...effect, bytes: Uint8Array.of(7, 8) }])
    })
  }
})

test('of a row that the log has, only what is changed is written, and a start puts it together again', () => {
  const path = join(directory, 'patches.db')
  const store = sqliteStateStore({ path })
  const large = 'x'.repeat(10_000)
  store.transact((tx) => tx.put({ kind: 'job', id: 'a', parent: 'p', state: 's', open: true, version: 1, data: { large, count: 0, gone: true } }))
  for (let count = 1; count <= 50; count++)
    store.transact((tx) => {
      const before = tx.get('job', 'a') as Row
      const { gone, ...data } = before.data as Record<string, unknown>
      tx.put({ kind: 'job', id: 'a', state: `s${count}`, open: count < 50, version: count + 1, data: { ...data, count } as Row['data'] })
    })
  // What was removed and is there again has nothing in common with what it was.
  store.transact((tx) => {
    const before = tx.get('job', 'a') as Row
    tx.put({ ...before, id: 'b' })
    tx.remove('job', 'a')
    tx.put(before)
  })
  // Another process would find the file as it is after a kill.
  const copy = join(directory, 'patches-copy.db')
  cpSync(path, copy)
  cpSync(`${path}-wal`, `${copy}-wal`)
  const database = new DatabaseSync(copy)
  const bytes = Number(database.prepare('SELECT sum(length(text)) AS bytes FROM log').get()?.['bytes'])
  database.close()
  expect(bytes).toBeLessThan(5 * large.length)
  using again = sqliteStateStore({ path: copy })
  const want = { kind: 'job', state: 's50', open: false, version: 51, data: { large, count: 50 } }
  for (const one of [store, again])
    one.read((reader) => {
      expect(reader.get('job', 'a')).toEqual({ ...want, id: 'a' })
      expect(reader.get('job', 'b')).toEqual({ ...want, id: 'b' })
    })
  store[Symbol.dispose]()
})

test('a log that was damaged is reported when the store is opened, and the file can be opened again', () => {
  const path = join(directory, 'damaged-log.db')
  sqliteStateStore({ path })[Symbol.dispose]()
  const database = new DatabaseSync(path)
  database.exec(`INSERT INTO log (text) VALUES ('[{"do":"put"')`)
  database.close()
  expect(() => sqliteStateStore({ path })).toThrow(code('store-corrupt'))
  const again = new DatabaseSync(path)
  again.exec('DELETE FROM log')
  again.close()
  sqliteStateStore({ path })[Symbol.dispose]()
})

test('the rows that are kept in memory are those that were used last, and no more than fit', () => {
  const cache = rowCache(4400)
  const found = (): string[] => Array.from({ length: 40 }, (_, index) => `r${index}`).filter((id) => cache.get('job', id))
  for (let index = 0; index < 40; index += 1) {
    cache.set(job(`r${index}`), 20)
    expect(cache.get('job', 'r0')).toBeDefined()
  }
  expect(found().length).toBeLessThanOrEqual(20)
  expect(found()).toContain('r0')
  expect(found()).toContain('r39')
  cache.set(job('r39', { version: 2 }), 20)
  expect(cache.get('job', 'r39')?.version).toBe(2)
  // One that does not fit takes nobody's place, and the one it replaces is out of date.
  cache.set(job('r39', { version: 3 }), 4000)
  expect(cache.get('job', 'r39')).toBeUndefined()
  cache.delete('job', 'r0')
  expect(found()).not.toContain('r0')
})

test('a page costs the page, however many rows lie in the tables, and over them', () => {
  const row = (id: string, state: string): Row => ({ kind: 'job', id, state, open: true, version: 1, data: null })
  const id = (index: number): string => `j${String(index).padStart(5, '0')}`
  let read = 0
  let looked = 0
  /** Stands for tables with 20,000 rows. */
  const tables = {
    list: function* (_: string, { descending }: ListWhere) {
      for (let index = 0; index < 20_000; index += 1) {
        read += 1
        yield row(id(descending ? 19_999 - index : index), 'stored')
      }
    },
  } as unknown as SqliteTables
  const overlay = emptyOverlay(0, 0, { sequence: 0, outboxId: 0 })
  const view = overlaidReader(tables, overlay)
  for (let index = 0; index < 15_000; index += 1) change(overlay, { do: 'put', row: row(id(index * 2), index % 100 === 0 ? 'rare' : 'common') })
  const ofKind = overlay.rows.get('job') as Map<string, Row>
  const get = ofKind.get.bind(ofKind)
  ofKind.get = (key) => {
    looked += 1
    return get(key)
  }
  const costs = (where: ListWhere): readonly string[] => {
    read = 0
    looked = 0
    return view.list('job', where).map((found) => `${found.id} ${found.state}`)
  }
  expect(costs({ limit: 4 })).toEqual(['j00000 rare', 'j00001 stored', 'j00002 common', 'j00003 stored'])
  expect([read, looked].every((count) => count <= 5)).toBe(true)
  expect(costs({ limit: 3, descending: true })).toEqual(['j29998 common', 'j29996 common', 'j29994 common'])
  expect([read, looked].every((count) => count <= 4)).toBe(true)
  // Where each of the tables' rows is hidden by a newer one, the others are not looked for.
  for (let index = 0; index < 5000; index += 1) change(overlay, { do: 'put', row: row(id(index * 2 + 1), 'odd') })
  expect(costs({ limit: 3 })).toEqual(['j00000 rare', 'j00001 odd', 'j00002 common'])
  expect([read, looked].every((count) => count <= 5)).toBe(true)
  const noTables = overlaidReader({ list: () => [] } as unknown as SqliteTables, overlay)
  looked = 0
  expect(noTables.list('job', { state: 'rare', prefix: 'j298', descending: true, limit: 10 }).map((found) => found.id)).toEqual(['j29800'])
  expect(looked).toBeLessThanOrEqual(2)
  // What is written after the first list is found as well, and what is undone is not.
  const mark = overlay.changes.length
  change(overlay, { do: 'put', row: row('z', 'rare') })
  change(overlay, { do: 'remove', kind: 'job', id: id(29_998) })
  change(overlay, { do: 'put', row: row(id(29_996), 'rare') })
  expect(costs({ state: 'rare', descending: true, limit: 2 }).slice(0, 2)).toEqual(['z rare', 'j29996 rare'])
  expect(costs({ descending: true, limit: 3 })).toEqual(['z rare', 'j29996 rare', 'j29994 common'])
  undoTo(overlay, mark)
  expect(costs({ descending: true, limit: 2 })).toEqual(['j29998 common', 'j29996 common'])
  expect(noTables.list('job', { state: 'rare', descending: true, limit: 1 }).map((found) => found.id)).toEqual(['j29800'])
})

test('pages of every kind of list come from an index, not from a sort or a scan', () => {
  const path = join(directory, 'plans.db')
  sqliteStateStore({ path })[Symbol.dispose]()
  const database = new DatabaseSync(path)
  const plan = (sql: string): string =>
    database
      .prepare(`EXPLAIN QUERY PLAN ${sql}`)
      .all()
      .map((step) => String(step['detail']))
      .join('; ')
  const conditions = ['', 'AND parent = ?', 'AND state = ?', 'AND open = ?', 'AND parent = ? AND state = ? AND open = ?']
  const ends = ['ORDER BY id', 'AND id > ? ORDER BY id', 'AND id < ? ORDER BY id DESC', 'AND id < ? AND id >= ? AND id < ? ORDER BY id DESC']
  for (const condition of conditions.flatMap((some) => ends.map((end) => `${some} ${end}`))) {
    const text = plan(`SELECT * FROM object WHERE kind = ? ${condition} LIMIT ?`)
    expect(text).toContain('USING INDEX')
    expect(text).not.toContain('TEMP B-TREE')
  }
  expect(plan('SELECT outbox_id FROM outbox WHERE kind = ? AND id = ?')).toContain('USING COVERING INDEX outbox_object')
  expect(plan('SELECT * FROM history WHERE kind = ? AND id = ? AND sequence > ? ORDER BY sequence LIMIT ?')).not.toContain('TEMP B-TREE')
  const group = plan('SELECT * FROM history WHERE group_id = ? AND sequence > ? ORDER BY sequence LIMIT ?')
  expect(group).toContain('USING INDEX history_group')
  expect(group).not.toContain('TEMP B-TREE')
  database.close()
})
