import { expect, test } from 'vitest'
import { type ConformanceStores, stateStoreCases } from '../src/conformance.ts'
import type { HistoryEntry, Reader, StateStore, Transaction } from '../src/index.ts'
import { memoryStores } from './stores.ts'

// A conformance suite is worth what it catches: each of these drivers breaks one promise, and some case must fail on it.

type Break = (tx: Transaction) => Partial<Transaction>

const breaking = (change: Break, breakRead = true): ConformanceStores => {
  const wrap = (store: StateStore): StateStore => ({
    transact: (work) => store.transact((tx) => work({ ...tx, ...change(tx) })),
    read: (work) => store.read((reader) => work(breakRead ? { ...reader, ...(change(reader as Transaction) as Partial<Reader>) } : reader)),
    [Symbol.dispose]: () => store[Symbol.dispose](),
  })
  const inner = new WeakMap<StateStore, StateStore>()
  const broken = (store: StateStore): StateStore => {
    const wrapped = wrap(store)
    inner.set(wrapped, store)
    return wrapped
  }
  return { open: () => broken(memoryStores.open()), reopen: (store) => broken(memoryStores.reopen(inner.get(store) as StateStore)) }
}

let counter = 0

const broken: Readonly<Record<string, ConformanceStores>> = {
  'nested does not undo': breaking(() => ({ nested: (work) => work() })),
  'nested swallows the error': breaking((tx) => ({
    nested: (work) => {
      try {
        return tx.nested(work)
      } catch {
        return undefined as never
      }
    },
  })),
  'list in order of UTF-16 units': breaking((tx) => ({ list: (kind, where) => tx.list(kind, where).toSorted((a, b) => (a.id < b.id ? -1 : 1)) })),
  'list in reverse': breaking((tx) => ({ list: (kind, where) => tx.list(kind, where).toReversed() })),
  'list forgets the state': breaking((tx) => ({ list: (kind, { state: _, ...where }) => tx.list(kind, where) })),
  'list includes the id to start after': breaking((tx) => ({
    list: (kind, where) => [...(where.after ? [tx.get(kind, where.after)] : []), ...tx.list(kind, where)].filter((row) => row !== undefined),
  })),
  'list never goes downwards': breaking((tx) => ({ list: (kind, { descending: _, ...where }) => tx.list(kind, where) })),
  'list takes the first page, and turns it round': breaking((tx) => ({
    list: (kind, { descending, ...where }) => (descending ? tx.list(kind, where).toReversed() : tx.list(kind, where)),
  })),
  'list goes downwards from below what it starts after': breaking((tx) => ({
    list: (kind, where) => tx.list(kind, where.descending && where.after !== undefined ? { ...where, after: `${where.after}\u{10ffff}` } : where),
  })),
  'list forgets the prefix': breaking((tx) => ({ list: (kind, { prefix: _, ...where }) => tx.list(kind, where) })),
  'list takes a prefix for a part': breaking((tx) => ({
    list: (kind, { prefix = '', limit, ...where }) =>
      tx
        .list(kind, { ...where, limit: 1e6 })
        .filter(({ id }) => id.includes(prefix))
        .slice(0, limit),
  })),
  'list takes a prefix for a start': breaking((tx) => ({
    list: (kind, { prefix = '', limit, ...where }) =>
      tx
        .list(kind, { ...where, limit: 1e6 })
        .filter(({ id }) => Buffer.compare(Buffer.from(id), Buffer.from(prefix)) >= 0)
        .slice(0, limit),
  })),
  'list ignores the limit': breaking((tx) => ({ list: (kind, where) => tx.list(kind, { ...where, limit: 1e6 }) })),
  'done forgets': breaking(() => ({ done: () => {} })),
  'done drops all before': breaking((tx) => ({
    done: (outboxId) => tx.pending(0, 1e6).forEach((entry) => entry.outboxId <= outboxId && tx.done(entry.outboxId)),
  })),
  'cancel drops other objects': breaking((tx) => ({ cancel: () => tx.pending(0, 1e6).forEach(({ outboxId }) => tx.done(outboxId)) })),
  'cancel does nothing': breaking(() => ({ cancel: () => {} })),
  'pending starts over': breaking((tx) => ({ pending: (_, limit) => tx.pending(0, limit) })),
  'pending drops bytes': breaking((tx) => ({ pending: (after, limit) => tx.pending(after, limit).map(({ bytes: _, ...entry }) => entry) })),
  'due misses the exact time': breaking((tx) => ({ due: (now, limit) => tx.due(now - 1e-6, limit) })),
  'due out of order': breaking((tx) => ({ due: (now, limit) => tx.due(now, limit).toReversed() })),
  'a deadline is never cleared': breaking((tx) => ({ deadline: (kind, id, at) => at !== undefined && tx.deadline(kind, id, at) })),
  'history starts over': breaking((tx) => ({ history: (kind, id, _, limit) => tx.history(kind, id, 0, limit) })),
  'history in reverse': breaking((tx) => ({ history: (kind, id, after, limit) => tx.history(kind, id, after, limit).toReversed() })),
  'the history of a group starts over': breaking((tx) => ({ groupHistory: (group, _, limit) => tx.groupHistory(group, 0, limit) })),
  'the history of a group includes the entry to start after': breaking((tx) => ({
    groupHistory: (group, after, limit) => tx.groupHistory(group, after - 1, limit),
  })),
  'the history of a group ignores the limit': breaking((tx) => ({ groupHistory: (group, after) => tx.groupHistory(group, after, 1e6) })),
  'the history of a group is of one kind': breaking((tx) => ({
    groupHistory: (group, after, limit) => tx.groupHistory(group, after, limit).filter(({ kind }) => kind === 'job'),
  })),
  'groups are one': breaking((tx) => ({
    record: (entry) => tx.record({ ...entry, group: 'g' }),
    groupHistory: (_, after, limit) => tx.groupHistory('g', after, limit),
  })),
  'groups are forgotten': breaking((tx) => ({ record: ({ group: _, ...entry }) => tx.record(entry) })),
  'remove leaves the object in its group': (() => {
    const keptBy = new WeakMap<Transaction['get'], HistoryEntry[]>()
    const keptOf = ({ get }: Transaction): HistoryEntry[] => keptBy.get(get) ?? keptBy.set(get, []).get(get) ?? []
    return breaking((tx) => ({
      record: (entry) => {
        const sequence = tx.record(entry)
        keptOf(tx).push({ ...entry, sequence })
        return sequence
      },
      groupHistory: (group, after, limit) =>
        keptOf(tx)
          .filter((entry) => entry.group === group && entry.sequence > after)
          .slice(0, limit),
    }))
  })(),
  'remove keeps the row': breaking(() => ({ remove: () => {} })),
  'put merges with the row before': breaking((tx) => ({ put: (row) => tx.put({ ...tx.get(row.kind, row.id), ...row }) })),
  'put shares by kind': breaking((tx) => ({ put: (row) => tx.put({ ...row, kind: 'job' }) })),
  'outbox ids start over': breaking((tx) => ({
    enqueue: (effect) => {
      tx.enqueue(effect)
      counter += 1
      return (counter % 2) + 1
    },
  })),
  'a thrown transaction stays': (() => {
    const open = (): StateStore => {
      const store = memoryStores.open()
      return {
        ...store,
        transact: (work) => {
          let thrown: { error: unknown } | undefined
          const result = store.transact((tx) => {
            try {
              return work(tx)
            } catch (error) {
              thrown = { error }
              return undefined as never
            }
          })
          if (thrown) throw thrown.error
          return result
        },
        [Symbol.dispose]: () => store[Symbol.dispose](),
      }
    }
    return { open }
  })(),
  'a new start finds nothing': { open: memoryStores.open, reopen: memoryStores.open },
}

test.each(Object.entries(broken))('the suite fails on a driver where %s', (_, stores) => {
  const failed = stateStoreCases.filter(({ needs, run }) => {
    if (needs && !stores[needs]) return false
    try {
      run(stores)
      return false
    } catch {
      return true
    }
  })
  expect(failed.map(({ name }) => name)).not.toEqual([])
})

test('the wrapper that breaks drivers breaks nothing by itself', () => {
  const stores = breaking(() => ({}))
  for (const { run } of stateStoreCases) run(stores)
})

test('a driver that hangs fails the case by its name, within the deadline', () => {
  const hangs = breaking(() => ({
    get: () => {
      for (;;);
    },
  }))
  const [first] = stateStoreCases
  expect(() => first?.run({ ...hangs, deadline: 50 })).toThrow(`"${first?.name}" has not ended within 50 ms: the driver hangs`)
})
