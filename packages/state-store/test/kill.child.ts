import { writeSync } from 'node:fs'
import { sqliteStateStore } from '../src/sqlite.ts'

// Commits one transaction after another and says so on standard output, until it is killed. `writeSync`, so that what is said has left the process.
const [path, first] = process.argv.slice(2) as [string, string]
const store = sqliteStateStore({ path })
for (let n = Number(first); ; n += 1) {
  store.transact((tx) => {
    tx.put({ kind: 'counter', id: 'n', state: 's', open: true, version: n, data: { n, filler: 'x'.repeat(n % 3000) } })
    tx.record({ kind: 'counter', id: 'n', at: n, data: n })
    tx.nested(() => tx.enqueue({ kind: 'counter', id: 'n', type: 'send', lane: 'l', data: n, bytes: new Uint8Array(n % 500) }))
    tx.deadline('counter', 'n', n)
  })
  writeSync(1, `${n}\n`)
}
