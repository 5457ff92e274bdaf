import { writeSync } from 'node:fs'
import { sqliteStateStore } from '../src/sqlite.ts'

// Runs under a limit on the size of files: writes until there is no more room, says what it was told and what it then finds, and exits without a goodbye.
const [path] = process.argv.slice(2) as [string]
const store = sqliteStateStore({ path })
let n = 0
const codes: unknown[] = []
for (let attempt = 0; attempt < 2000 && codes.length < 5; attempt += 1) {
  try {
    store.transact((tx) => {
      tx.put({ kind: 'counter', id: 'n', state: 's', open: true, version: n + 1, data: null })
      tx.record({ kind: 'counter', id: 'n', at: n + 1, data: 'x'.repeat(20_000) })
      tx.deadline('counter', 'n', n + 1)
    })
    n += 1
  } catch (error) {
    codes.push((error as { code?: unknown }).code)
  }
}
const found = store.read((reader) => [reader.get('counter', 'n')?.version, reader.history('counter', 'n', 0, 10_000).length, reader.nextDeadline()])
writeSync(1, JSON.stringify({ codes, n, found }))
process.kill(process.pid, 'SIGKILL')
