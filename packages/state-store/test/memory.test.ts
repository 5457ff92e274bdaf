import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { StateStore } from '../src/index.ts'
import { memoryStateStore } from '../src/memory.ts'
import { compareKeys, idOfKey, orderKey } from '../src/order-key.ts'
import { sortedList } from '../src/sorted-list.ts'

const put = (store: StateStore, ...ids: string[]): void =>
  store.transact((tx) => ids.forEach((id) => tx.put({ kind: 'job', id, state: 's', open: true, version: 1, data: null })))
const idsOf = (store: StateStore): string[] => store.read((reader) => reader.list('job', { limit: 99 }).map(({ id }) => id))

test('a snapshot keeps what was committed, whatever is written later on either side', () => {
  const store = memoryStateStore()
  put(store, 'a')
  const snapshot = store.snapshot()
  put(store, 'b')
  const one = memoryStateStore({ from: snapshot })
  const two = memoryStateStore({ from: snapshot })
  put(one, 'c')
  one.transact((tx) => tx.remove('job', 'a'))
  expect([idsOf(store), idsOf(one), idsOf(two)]).toEqual([['a', 'b'], ['c'], ['a']])
  expect([snapshot.commits, store.commits, one.commits, two.commits]).toEqual([1, 2, 3, 1])
})

test('commits counts only what wrote something and stayed', () => {
  const commits: number[] = []
  const store = memoryStateStore({ onCommit: (count) => commits.push(count) })
  store.transact(() => {})
  expect(() =>
    store.transact((tx) => {
      tx.deadline('job', 'a', 1)
      throw new Error('undone')
    }),
  ).toThrow('undone')
  put(store, 'a')
  put(store, 'b')
  expect(commits).toEqual([1, 2])
})

test('a crash at any write undoes the whole transaction, although the work catches it', () => {
  for (let crashAt = 1; crashAt <= 4; crashAt += 1) {
    const store = memoryStateStore({
      onWrite: (write) => {
        if (write === crashAt) throw new Error('power cut')
      },
    })
    const run = (): void => {
      put(store, 'a')
      store.transact((tx) => {
        for (const id of ['b', 'c', 'd']) {
          try {
            tx.nested(() => tx.put({ kind: 'job', id, state: 's', open: true, version: 1, data: null }))
          } catch {
            // As a kernel that isolates events would.
          }
        }
      })
    }
    expect(run).toThrow('power cut')
    expect(() => idsOf(store)).toThrow('crashed')
    expect(idsOf(memoryStateStore({ from: store.snapshot() }))).toEqual(crashAt === 1 ? [] : ['a'])
  }
})

test('a crash just after a commit keeps the commit, and nobody hears of it', () => {
  const store = memoryStateStore({
    onCommit: () => {
      throw new Error('power cut')
    },
  })
  expect(() => put(store, 'a')).toThrow('power cut')
  expect(() => put(store, 'b')).toThrow(expect.objectContaining({ code: 'store-closed' }))
  expect(idsOf(memoryStateStore({ from: store.snapshot() }))).toEqual(['a'])
})

test('a snapshot cannot be taken of what may yet be undone, nor made up', () => {
  const store = memoryStateStore()
  store.transact((tx) => {
    tx.deadline('job', 'a', 1)
    expect(() => store.snapshot()).toThrow(expect.objectContaining({ code: 'reentrant' }))
  })
  expect(() => memoryStateStore({ from: { commits: 1 } })).toThrow(expect.objectContaining({ code: 'invalid-data' }))
})

test('order keys sort as the UTF-8 bytes of the ids do', () => {
  const id = fc.string({
    unit: fc.oneof(
      fc.constantFrom('a', '\ud7ff', '\ue000', '\uffff', '😀', '\u{10000}', '\u{10ffff}'),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    ),
  })
  fc.assert(
    fc.property(id, id, (a, b) => {
      expect(Math.sign(compareKeys(orderKey(a), orderKey(b)))).toBe(Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))))
      expect(idOfKey(orderKey(a))).toBe(a)
    }),
  )
})

test('a sorted list holds what a sorted set would, across many chunks', () => {
  const list = sortedList<number>((a, b) => a - b)
  const set = new Set<number>()
  let value = 1
  for (let step = 0; step < 20_000; step += 1) {
    value = (value * 48_271) % 2_147_483_647
    const item = value % 3000
    if (value % 5 < (step < 12_000 ? 3 : 1)) {
      list.add(item)
      set.add(item)
    } else {
      list.delete(item)
      set.delete(item)
    }
  }
  const expected = [...set].toSorted((a, b) => a - b)
  expect([...list.after()]).toEqual(expected)
  expect(list.size()).toBe(expected.length)
  expect(list.first()).toBe(expected[0])
  expect([...list.before()]).toEqual(expected.toReversed())
  for (const at of [-1, 0, 1, 511, 512, 1500, 2999, 3000]) {
    expect([...list.after(at)]).toEqual(expected.filter((item) => item > at))
    expect([...list.from(at)]).toEqual(expected.filter((item) => item >= at))
    expect([...list.before(at)]).toEqual(expected.filter((item) => item < at).toReversed())
  }
})

test('a row keeps what JSON keeps of its data: no symbols, nothing of the prototype, `__proto__` as a key like any other', () => {
  using store = memoryStateStore()
  const data = JSON.parse('{"a":{"b":[1,-0]},"__proto__":{"x":{"y":1}}}')
  data[Symbol('secret')] = { kept: false }
  Object.defineProperty(Object.prototype, 'inherited', { value: { of: 'all' }, enumerable: true, configurable: true })
  try {
    store.transact((tx) => tx.put({ kind: 'job', id: 'j', state: 's', open: true, version: 1, data }))
  } finally {
    Reflect.deleteProperty(Object.prototype, 'inherited')
  }
  const kept = store.read((reader) => reader.get('job', 'j'))?.data as object
  expect(JSON.stringify(kept)).toBe('{"a":{"b":[1,0]},"__proto__":{"x":{"y":1}}}')
  expect(Reflect.ownKeys(kept)).toEqual(['a', '__proto__'])
  expect(Object.getPrototypeOf(kept)).toBe(Object.prototype)
  expect(Object.isFrozen(Object.getOwnPropertyDescriptor(kept, '__proto__')?.value)).toBe(true)
  expect(data.a.b[1]).toBe(-0)
})
