import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Data, StateStore, Transaction } from '../src/index.ts'
import { crashingMemoryStores, sqliteStores, temporaryDirectory } from './stores.ts'

// Whatever is done to them, the two drivers answer the same: what the simulation finds out in memory is then true on disk.

const root = temporaryDirectory()
const directory = (): string => mkdtempSync(join(root, 'stores-'))

const kind = fc.constantFrom('job', 'shard')
const id = fc.constantFrom('a', 'b', 'B', 'é', '\ue000', '😀', 'aa')
const group = fc.constantFrom('g', 'h')
const text = fc.constantFrom('x', 'y', '')
const data = fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<Data>
const at = fc.oneof(fc.integer({ min: -3, max: 12 }), fc.double({ min: 0, max: 10, noNaN: true }))
const after = fc.integer({ min: -1, max: 12 })
const limit = fc.integer({ min: 0, max: 6 })

type Step = (tx: Transaction) => unknown

const write: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind, id, parent: fc.option(text, { nil: undefined }), state: text, open: fc.boolean(), version: fc.nat(9), data }).map(
    ({ parent, ...row }): Step =>
      (tx) =>
        tx.put({ ...row, ...(parent === undefined ? {} : { parent }) }),
  ),
  fc.tuple(kind, id).map(
    ([k, i]): Step =>
      (tx) =>
        tx.remove(k, i),
  ),
  fc.record({ kind, id, group, at, data }, { requiredKeys: ['kind', 'id', 'at', 'data'] }).map(
    (entry): Step =>
      (tx) =>
        tx.record(entry),
  ),
  fc.tuple(kind, id, fc.option(at, { nil: undefined })).map(
    ([k, i, time]): Step =>
      (tx) =>
        tx.deadline(k, i, time),
  ),
  fc.record({ kind, id, type: text, lane: text, data, bytes: fc.option(fc.uint8Array({ maxLength: 4 }), { nil: undefined }) }).map(
    ({ bytes, ...effect }): Step =>
      (tx) =>
        tx.enqueue({ ...effect, ...(bytes && { bytes }) }),
  ),
  fc.integer({ min: 1, max: 12 }).map(
    (outboxId): Step =>
      (tx) =>
        tx.done(outboxId),
  ),
  fc.tuple(kind, id).map(
    ([k, i]): Step =>
      (tx) =>
        tx.cancel(k, i),
  ),
)

const look: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(kind, id).map(
    ([k, i]): Step =>
      (tx) =>
        tx.get(k, i),
  ),
  fc
    .tuple(
      kind,
      limit,
      fc.record(
        { parent: text, state: text, open: fc.boolean(), after: fc.oneof(id, text), prefix: fc.oneof(id, text), descending: fc.boolean() },
        { requiredKeys: [] },
      ),
    )
    .map(
      ([k, most, where]): Step =>
        (tx) =>
          tx.list(k, { limit: most, ...where }),
    ),
  fc.tuple(kind, id, after, limit).map(
    ([k, i, from, most]): Step =>
      (tx) =>
        tx.history(k, i, from, most),
  ),
  fc.tuple(group, after, limit).map(
    ([g, from, most]): Step =>
      (tx) =>
        tx.groupHistory(g, from, most),
  ),
  fc.tuple(at, limit).map(
    ([now, most]): Step =>
      (tx) => [tx.due(now, most), tx.nextDeadline()],
  ),
  fc.tuple(after, limit).map(
    ([from, most]): Step =>
      (tx) =>
        tx.pending(from, most),
  ),
)

/** As the kernel does: most of what is written anew is what was there. Of few objects, so that it happens. */
const changed: fc.Arbitrary<Step> = fc
  .tuple(fc.constant('job'), fc.constantFrom('a', 'aa'), fc.constantFrom('a', 'a', 'b', '__proto__'), fc.option(data, { nil: undefined }))
  .map(
    ([k, i, field, value]): Step =>
      (tx) => {
        const row = tx.get(k, i)
        const isMap = typeof row?.data === 'object' && row.data !== null && !Array.isArray(row.data)
        if (row === undefined || !isMap) return tx.put({ kind: k, id: i, state: 's', open: true, version: 1, data: { a: 1, b: {} } })
        const { [field]: _, ...rest } = row.data as Readonly<Record<string, Data>>
        return tx.put({ ...row, version: row.version + 1, data: value === undefined ? rest : { ...rest, [field]: value } })
      },
  )

const { steps } = fc.letrec<{ steps: Step[]; step: Step; nested: Step }>((tie) => ({
  steps: fc.array(tie('step'), { maxLength: 8 }),
  step: fc.oneof(
    { depthSize: 'small' },
    { arbitrary: write, weight: 5 },
    { arbitrary: changed, weight: 4 },
    { arbitrary: look, weight: 3 },
    { arbitrary: tie('nested'), weight: 1 },
  ),
  nested: fc.tuple(tie('steps'), fc.boolean()).map(
    ([inside, throws]): Step =>
      (tx) => {
        const seen: unknown[] = []
        try {
          tx.nested(() => {
            for (const step of inside) seen.push(step(tx))
            if (throws) throw new Error('nested')
          })
        } catch (error) {
          seen.push((error as Error).message)
        }
        return seen
      },
  ),
}))

const everything = (store: StateStore): unknown =>
  store.read((reader) => [
    ...['job', 'shard'].flatMap((k) => [
      reader.list(k, { limit: 100 }),
      ...['a', 'b', 'B', 'é', '\ue000', '😀', 'aa'].map((i) => [reader.get(k, i), reader.history(k, i, 0, 100)]),
    ]),
    ...['g', 'h'].map((g) => reader.groupHistory(g, 0, 100)),
    reader.due(100, 100),
    reader.pending(0, 100),
  ])

const transaction = fc.record({
  steps,
  throws: fc.boolean(),
  ends: fc.constantFrom('open', 'open', 'open', 'open', 'reopened', 'lost', 'lost within'),
})

// With a log that is hardly ever full, that is full all the time, and that is full now and then; with rows that stay in memory, and that are read again each time.
test.each([
  ['as it is', undefined],
  ['that brings its tables up to date at every commit', { changes: 0, bytes: 0, cache: 2 ** 20 }],
  ['that does so now and then', { changes: 5, bytes: 1000, cache: 0 }],
])('memory and sqlite %s answer the same to any sequence of operations, whatever is undone, stopped and lost on the way', (_, limits) => {
  const drivers = [crashingMemoryStores, sqliteStores(directory(), limits)] as const
  fc.assert(
    fc.property(fc.array(transaction, { minLength: 1, maxLength: 8 }), (transactions) => {
      const [memory, sqlite] = drivers.map((driver) => {
        let store = driver.open()
        const left: StateStore[] = []
        const seen: unknown[] = []
        for (const { steps: inside, throws, ends } of transactions) {
          let next = store
          const lost = driver.losing(store)
          try {
            store.transact((tx) => {
              // Nothing of this transaction may survive.
              const middle = ends === 'lost within' ? inside.length >> 1 : -1
              inside.forEach((step, index) => {
                seen.push(step(tx))
                if (index === middle) next = lost()
              })
              if (throws) throw new Error('transaction')
            })
          } catch (error) {
            seen.push((error as Error).message)
          }
          if (ends === 'reopened') next = driver.reopen(store)
          if (ends === 'lost') next = driver.losing(store)()
          if (next !== store) left.push(store)
          store = next
          seen.push(everything(store))
        }
        for (const one of [...left, store]) one[Symbol.dispose]()
        return seen
      })
      expect(sqlite).toEqual(memory)
    }),
    { numRuns: 50 },
  )
})
