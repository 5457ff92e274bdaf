import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { sqliteStateStore } from '../src/sqlite.ts'
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

test('a file of the version before history had groups is brought up to date, with what it held', () => {
  const path = join(directory, 'older.db')
  const first = sqliteStateStore({ path })
  first.transact((tx) => tx.record({ kind: 'job', id: 'a', at: 1, data: 'kept' }))
  first[Symbol.dispose]()
  const database = new DatabaseSync(path)
  database.exec('DROP INDEX history_group; ALTER TABLE history DROP COLUMN group_id; PRAGMA user_version = 1')
  database.close()
  for (const times of [1, 2]) {
    using store = sqliteStateStore({ path })
    store.transact((tx) => tx.record({ kind: 'job', id: 'a', group: 'g', at: 2, data: 'new' }))
    store.read((reader) => {
      expect(reader.history('job', 'a', 0, 1).map(({ data }) => data)).toEqual(['kept'])
      expect(reader.groupHistory('g', 0, 10)).toHaveLength(times)
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
  for (const condition of ['', 'AND parent = ?', 'AND state = ?', 'AND open = ?', 'AND parent = ? AND state = ? AND open = ? AND id > ?', 'AND id > ?']) {
    const text = plan(`SELECT * FROM object WHERE kind = ? ${condition} ORDER BY id LIMIT ?`)
    expect(text).toContain('USING INDEX')
    expect(text).not.toContain('TEMP B-TREE')
  }
  expect(plan('SELECT kind, id, at FROM deadline WHERE at <= ? ORDER BY at, kind, id LIMIT ?')).toContain('USING COVERING INDEX deadline_at')
  expect(plan('SELECT * FROM history WHERE kind = ? AND id = ? AND sequence > ? ORDER BY sequence LIMIT ?')).not.toContain('TEMP B-TREE')
  const group = plan('SELECT * FROM history WHERE group_id = ? AND sequence > ? ORDER BY sequence LIMIT ?')
  expect(group).toContain('USING INDEX history_group')
  expect(group).not.toContain('TEMP B-TREE')
  database.close()
})
