import { expect } from 'vitest'
import { defaultDeadline, inTime } from './in-time.ts'
import type { Data, Effect, Row, StateStore, Transaction } from './index.ts'

/** How a case gets its stores. */
export interface ConformanceStores {
  /** A new, empty store. */
  open(): StateStore
  /** Ends this one, as a stop and a new start of the node would, and opens what it kept. Drivers that keep nothing leave it out. */
  reopen?(store: StateStore): StateStore
  /** Milliseconds that a case may take. Default 30,000. */
  readonly deadline?: number
}

/** One promise of the contract. `run` throws when the driver breaks it, or has not done with it within the deadline. */
export interface ConformanceCase {
  readonly name: string
  /** What the driver must offer for it; without it the case is skipped, visibly. */
  readonly needs?: 'reopen'
  run(stores: ConformanceStores): void
}

const row = (id: string, more: Partial<Row> = {}): Row => ({ kind: 'job', id, state: 'queued', open: true, version: 1, data: { id }, ...more })
const effect = (id: string, more: Partial<Effect> = {}): Effect => ({ kind: 'job', id, type: 'send', lane: 'peer', data: { to: id }, ...more })
const ids = (rows: readonly { readonly id: string }[]): string[] => rows.map(({ id }) => id)
const list = (store: StateStore, where: Omit<Parameters<Transaction['list']>[1], 'limit'> & { limit?: number } = {}, kind = 'job'): string[] =>
  store.read((reader) => ids(reader.list(kind, { limit: 1000, ...where })))
const put = (store: StateStore, ...rows: readonly Row[]): void => store.transact((tx) => rows.forEach((each) => tx.put(each)))

/** Everything about one object that a reader can see. */
const seen = (store: StateStore, id = 'a') =>
  store.read((reader) => ({
    row: reader.get('job', id),
    history: reader.history('job', id, 0, 100),
    group: reader.groupHistory('group', 0, 100),
    due: reader.due(Infinity, 100),
    next: reader.nextDeadline(),
    pending: reader.pending(0, 100),
  }))

const writeEverything = (tx: Transaction, id: string, at: number): void => {
  tx.put(row(id, { version: at, data: { at } }))
  tx.record({ kind: 'job', id, group: 'group', at, data: 'entry' })
  tx.deadline('job', id, at)
  tx.enqueue(effect(id, { bytes: Uint8Array.of(at) }))
}

const changeEverything = (tx: Transaction): void => {
  writeEverything(tx, 'a', 2)
  for (const { outboxId } of tx.pending(0, 1)) tx.done(outboxId)
  tx.cancel('job', 'a')
  tx.remove('job', 'a')
  writeEverything(tx, 'b', 3)
}

const codeOf = (work: () => unknown): unknown => {
  try {
    work()
  } catch (error) {
    return (error as { code?: unknown }).code
  }
  return undefined
}

class Instance {
  field = 1
}
const circle: Record<string, unknown> = {}
circle['self'] = circle

const kept: readonly Data[] = [
  null,
  true,
  0,
  -1.5,
  Number.MAX_SAFE_INTEGER,
  1e308,
  5e-324,
  '',
  'text with "quotes", \\ and \u0000 and \u2028',
  'lone \ud800 surrogate',
  '😀',
  [],
  [[], [null, [1, 'two', { three: 3 }]]],
  {},
  { '': 1, 'a b': { toString: 'x', constructor: 1 }, length: 0 },
  JSON.parse('{"__proto__": {"polluted": true}, "plain": 1}') as Data,
]

const refused: readonly (readonly [string, unknown])[] = [
  ['undefined', undefined],
  ['an undefined field', { field: undefined }],
  ['an undefined item', [undefined]],
  ['NaN', { deep: [NaN] }],
  ['Infinity', -Infinity],
  ['a function', { call: () => 1 }],
  ['a symbol', Symbol('s')],
  ['a bigint', 1n],
  ['a date', { at: new Date(0) }],
  ['a map', new Map()],
  ['bytes', new Uint8Array(1)],
  ['a class instance', new Instance()],
  ['a circle', circle],
]

const cases: readonly ConformanceCase[] = [
  {
    name: 'gives back a row as it was put, and replaces it whole',
    run({ open }) {
      using store = open()
      const first = row('a', { parent: 'p', state: 'x', open: false, version: 7, data: { deep: [1, { two: '2' }] } })
      put(store, first)
      expect(store.read((reader) => reader.get('job', 'a'))).toEqual(first)
      const second = row('a', { version: 8 })
      put(store, second)
      const found = store.read((reader) => reader.get('job', 'a')) as Row
      expect(found).toEqual(second)
      expect('parent' in found).toBe(false)
    },
  },
  {
    name: 'tells objects apart by kind and id together',
    run({ open }) {
      using store = open()
      put(store, row('a', { data: 1 }), row('a', { kind: 'shard', data: 2 }))
      store.read((reader) => {
        expect(reader.get('job', 'a')?.data).toBe(1)
        expect(reader.get('shard', 'a')?.data).toBe(2)
        expect(reader.get('job', 'b')).toBeUndefined()
        expect(reader.get('other', 'a')).toBeUndefined()
      })
      store.transact((tx) => tx.remove('job', 'a'))
      expect(list(store, {}, 'shard')).toEqual(['a'])
    },
  },
  {
    name: 'shows a transaction its own writes, and returns what its work returns',
    run({ open }) {
      using store = open()
      const result = store.transact((tx) => {
        writeEverything(tx, 'a', 5)
        return {
          version: tx.get('job', 'a')?.version,
          listed: ids(tx.list('job', { limit: 9 })),
          due: tx.due(5, 9),
          next: tx.nextDeadline(),
          pending: tx.pending(0, 9).length,
          nested: tx.nested(() => 6),
        }
      })
      expect(result).toEqual({ version: 5, listed: ['a'], due: [{ kind: 'job', id: 'a', at: 5 }], next: 5, pending: 1, nested: 6 })
    },
  },
  {
    name: 'undoes a transaction whole when its work throws, and throws the same error',
    run({ open }) {
      using store = open()
      store.transact((tx) => writeEverything(tx, 'a', 1))
      const before = seen(store)
      const error = new Error('on purpose')
      expect(() =>
        store.transact((tx) => {
          changeEverything(tx)
          throw error
        }),
      ).toThrow(error)
      expect(seen(store)).toEqual(before)
      expect(seen(store, 'b').row).toBeUndefined()
      expect(list(store)).toEqual(['a'])
      put(store, row('c'))
      expect(list(store)).toEqual(['a', 'c'])
    },
  },
  {
    name: 'undoes only what was written in a nested that throws',
    run({ open }) {
      using store = open()
      store.transact((tx) => writeEverything(tx, 'a', 1))
      const before = seen(store)
      const error = new Error('on purpose')
      store.transact((tx) => {
        tx.put(row('first'))
        expect(() =>
          tx.nested(() => {
            changeEverything(tx)
            throw error
          }),
        ).toThrow(error)
        expect(ids(tx.list('job', { limit: 9 }))).toEqual(['a', 'first'])
        tx.put(row('last'))
      })
      expect(seen(store)).toEqual(before)
      expect(list(store)).toEqual(['a', 'first', 'last'])
      expect(list(store, { state: 'queued', open: true })).toEqual(['a', 'first', 'last'])
    },
  },
  {
    name: 'undoes what an inner nested had kept when the outer one throws',
    run({ open }) {
      using store = open()
      store.transact((tx) => {
        tx.nested(() => {
          tx.put(row('kept'))
          expect(() =>
            tx.nested(() => {
              tx.put(row('inner'))
              throw new Error('inner')
            }),
          ).toThrow('inner')
        })
        expect(() =>
          tx.nested(() => {
            tx.nested(() => tx.put(row('undone')))
            throw new Error('outer')
          }),
        ).toThrow('outer')
      })
      expect(list(store)).toEqual(['kept'])
    },
  },
  {
    name: 'refuses a transaction inside another one, and lets that one go on',
    run({ open }) {
      using store = open()
      store.transact((tx) => {
        tx.put(row('a'))
        expect(codeOf(() => store.transact((inner) => inner.put(row('b'))))).toBe('reentrant')
        expect(codeOf(() => store.read((reader) => reader.get('job', 'a')))).toBe('reentrant')
        expect(codeOf(() => store[Symbol.dispose]())).toBe('reentrant')
      })
      store.read(() => expect(codeOf(() => store.transact(() => 1))).toBe('reentrant'))
      expect(list(store)).toEqual(['a'])
    },
  },
  {
    name: 'refuses use of a transaction after its end',
    run({ open }) {
      using store = open()
      const leaked = store.transact((tx) => tx)
      expect(codeOf(() => leaked.put(row('a')))).toBe('transaction-ended')
      expect(codeOf(() => leaked.get('job', 'a'))).toBe('transaction-ended')
      expect(codeOf(() => leaked.nested(() => 1))).toBe('transaction-ended')
      expect(list(store)).toEqual([])
    },
  },
  {
    name: 'refuses work that returns a promise, and writes nothing of it',
    run({ open }) {
      using store = open()
      const work = (tx: Transaction): Promise<void> => {
        tx.put(row('a'))
        return Promise.resolve()
      }
      expect(codeOf(() => store.transact(work))).toBe('asynchronous')
      store.transact((tx) => expect(codeOf(() => tx.nested(() => work(tx)))).toBe('asynchronous'))
      expect(list(store)).toEqual([])
    },
  },
  {
    name: 'lists in byte order of ids, a page at a time',
    run({ open }) {
      using store = open()
      const inOrder = ['!', '-1', '0', '10', '9', 'A', 'Z', '_', 'a', 'a!', 'aa', 'b', 'é', '\u07ff', '\ud7ff', '\ue000', '\uffee', '😀', '😀a', '\u{10ffff}']
      const shuffled = inOrder.map((id, index) => [(index * 7) % inOrder.length, id] as const).sort(([a], [b]) => a - b)
      put(store, ...shuffled.map(([, id]) => row(id)))
      expect(list(store)).toEqual(inOrder)
      expect(list(store, { limit: 3 })).toEqual(inOrder.slice(0, 3))
      expect(list(store, { after: '9', limit: 2 })).toEqual(['A', 'Z'])
      expect(list(store, { after: '99' })).toEqual(inOrder.slice(5))
      expect(list(store, { after: '😀' })).toEqual(inOrder.slice(18))
      expect(list(store, { after: '' })).toEqual(inOrder)
      expect(list(store, { limit: 0 })).toEqual([])
      expect(list(store, {}, 'nothing')).toEqual([])
    },
  },
  {
    name: 'lists by parent, state, open and all of them, as rows change',
    run({ open }) {
      using store = open()
      put(
        store,
        row('1', { parent: 'p', state: 'x' }),
        row('2', { parent: 'p', state: 'y', open: false }),
        row('3', { parent: 'q', state: 'x' }),
        row('4', { state: 'x', open: false }),
        row('5', { parent: 'p', state: 'x', open: false }),
        row('6', { parent: 'p', state: 'x' }),
        row('1', { kind: 'other', parent: 'p', state: 'x' }),
      )
      expect(list(store, { parent: 'p' })).toEqual(['1', '2', '5', '6'])
      expect(list(store, { state: 'x' })).toEqual(['1', '3', '4', '5', '6'])
      expect(list(store, { open: false })).toEqual(['2', '4', '5'])
      expect(list(store, { open: true })).toEqual(['1', '3', '6'])
      expect(list(store, { parent: 'p', state: 'x', open: true })).toEqual(['1', '6'])
      expect(list(store, { parent: 'p', state: 'x', open: true, after: '1', limit: 1 })).toEqual(['6'])
      expect(list(store, { parent: 'none' })).toEqual([])
      put(store, row('1', { parent: 'q', state: 'y', open: false }), row('3', { state: 'x' }))
      store.transact((tx) => tx.remove('job', '6'))
      expect(list(store, { parent: 'p' })).toEqual(['2', '5'])
      expect(list(store, { parent: 'q' })).toEqual(['1'])
      expect(list(store, { state: 'y' })).toEqual(['1', '2'])
      expect(list(store, { open: true })).toEqual(['3'])
      expect(list(store)).toEqual(['1', '2', '3', '4', '5'])
    },
  },
  {
    name: 'lists from the last id to the first, and only ids with a prefix',
    run({ open }) {
      using store = open()
      const inOrder = [
        'A',
        'a',
        'a!',
        'aa',
        'ab',
        'ab\ud7ff',
        'ab\ue000',
        'ab\u{10ffff}',
        'ab\u{10ffff}z',
        'ac',
        'b',
        '\ud7ff',
        '\ue000',
        '\uffee',
        '😀',
        '😀a',
        '😁',
        '\u{10ffff}',
        '\u{10ffff}a',
      ]
      put(store, ...inOrder.toReversed().map((id, index) => row(id, { state: index % 2 === 0 ? 'x' : 'y' })))
      const downwards = inOrder.toReversed()
      expect(list(store, { descending: true })).toEqual(downwards)
      expect(list(store, { descending: true, limit: 3 })).toEqual(downwards.slice(0, 3))
      expect(list(store, { descending: true, after: 'ab', limit: 2 })).toEqual(['aa', 'a!'])
      expect(list(store, { descending: true, after: 'B' })).toEqual(['A'])
      expect(list(store, { descending: true, after: '' })).toEqual([])
      expect(list(store, { descending: false, limit: 2 })).toEqual(['A', 'a'])
      for (const prefix of ['a', 'ab', 'ab\u{10ffff}', '\ud7ff', '\ue000', '😀', '\u{10ffff}', '', 'nothing']) {
        const meant = inOrder.filter((id) => id.startsWith(prefix))
        expect(list(store, { prefix })).toEqual(meant)
        expect(list(store, { prefix, descending: true })).toEqual(meant.toReversed())
        expect(list(store, { prefix, after: 'ab' })).toEqual(meant.filter((id) => inOrder.indexOf(id) > inOrder.indexOf('ab')))
        expect(list(store, { prefix, after: 'ab', descending: true, limit: 2 })).toEqual(
          meant
            .filter((id) => inOrder.indexOf(id) < inOrder.indexOf('ab'))
            .toReversed()
            .slice(0, 2),
        )
        expect(list(store, { prefix, state: 'x', open: true, descending: true })).toEqual(meant.filter((id) => inOrder.indexOf(id) % 2 === 0).toReversed())
      }
    },
  },
  {
    name: 'visits each of many rows once, page by page, while they are closed',
    run({ open }) {
      using store = open()
      const all = Array.from({ length: 1500 }, (_, index) => `r${String((index * 769) % 1500).padStart(5, '0')}`)
      put(store, ...all.map((id) => row(id)))
      const visited: string[] = []
      // Bounded, because a driver that is wrong may start over for ever.
      for (let after = '', pages = 0; pages < 20; after = visited.at(-1) as string, pages += 1) {
        const page = list(store, { open: true, after, limit: 97 })
        if (page.length === 0) break
        visited.push(...page)
        put(store, ...page.filter((_, index) => index % 2 === 0).map((id) => row(id, { open: false })))
      }
      expect(visited).toEqual(all.toSorted())
    },
  },
  {
    name: 'removes a row with its history and deadline, and leaves its pending effects',
    run({ open }) {
      using store = open()
      store.transact((tx) => {
        writeEverything(tx, 'a', 1)
        writeEverything(tx, 'b', 2)
        tx.remove('job', 'a')
        tx.remove('job', 'never')
      })
      const { row: found, history, due, pending } = seen(store)
      expect(found).toBeUndefined()
      expect(history).toEqual([])
      expect(ids(due)).toEqual(['b'])
      expect(ids(pending)).toEqual(['a', 'b'])
      expect(seen(store, 'b').history).toHaveLength(1)
      expect(ids(seen(store).group)).toEqual(['b'])
    },
  },
  {
    name: 'records history per object under rising sequences',
    run({ open }) {
      using store = open()
      const record = (id: string, at: number): number => store.transact((tx) => tx.record({ kind: 'job', id, at, data: { at } }))
      const sequences = [record('a', 10), record('b', 11), record('a', 9.5), record('a', 12)] as const
      expect(sequences.toSorted((a, b) => a - b)).toEqual(sequences)
      expect(new Set(sequences).size).toBe(4)
      store.read((reader) => {
        expect(reader.history('job', 'a', 0, 10)).toEqual([
          { sequence: sequences[0], kind: 'job', id: 'a', at: 10, data: { at: 10 } },
          { sequence: sequences[2], kind: 'job', id: 'a', at: 9.5, data: { at: 9.5 } },
          { sequence: sequences[3], kind: 'job', id: 'a', at: 12, data: { at: 12 } },
        ])
        expect(reader.history('job', 'a', sequences[0], 1).map(({ at }) => at)).toEqual([9.5])
        expect(reader.history('job', 'a', sequences[3], 10)).toEqual([])
        expect(reader.history('job', 'a', 0, 0)).toEqual([])
        expect(reader.history('shard', 'a', 0, 10)).toEqual([])
      })
    },
  },
  {
    name: 'merges the history of a group of objects in the order of its sequences, and keeps groups apart',
    run({ open }) {
      using store = open()
      const record = (kind: string, id: string, group: string | undefined, at: number): number =>
        store.transact((tx) => tx.record({ kind, id, ...(group !== undefined && { group }), at, data: { at } }))
      const sequences = [
        record('job', 'a', 'one', 10),
        record('shard', 'a', 'one', 11),
        record('job', 'b', 'two', 12),
        record('job', 'a', undefined, 13),
        record('shard', 'b', 'one', 9),
        record('job', 'a', 'one', 14),
      ] as const
      store.read((reader) => {
        expect(reader.groupHistory('one', 0, 10)).toEqual([
          { sequence: sequences[0], kind: 'job', id: 'a', group: 'one', at: 10, data: { at: 10 } },
          { sequence: sequences[1], kind: 'shard', id: 'a', group: 'one', at: 11, data: { at: 11 } },
          { sequence: sequences[4], kind: 'shard', id: 'b', group: 'one', at: 9, data: { at: 9 } },
          { sequence: sequences[5], kind: 'job', id: 'a', group: 'one', at: 14, data: { at: 14 } },
        ])
        expect(reader.groupHistory('one', sequences[1], 1).map(({ at }) => at)).toEqual([9])
        expect(reader.groupHistory('one', sequences[2], 10).map(({ at }) => at)).toEqual([9, 14])
        expect(reader.groupHistory('one', sequences[5], 10)).toEqual([])
        expect(reader.groupHistory('one', 0, 0)).toEqual([])
        expect(reader.groupHistory('two', -1, 10).map(({ at }) => at)).toEqual([12])
        expect(reader.groupHistory('none', 0, 10)).toEqual([])
        expect(reader.history('job', 'a', 0, 10).map(({ at, group }) => [at, group])).toEqual([
          [10, 'one'],
          [13, undefined],
          [14, 'one'],
        ])
      })
      store.transact((tx) => tx.remove('job', 'a'))
      expect(store.read((reader) => reader.groupHistory('one', 0, 10).map(({ at }) => at))).toEqual([11, 9])
    },
  },
  {
    name: 'visits each entry of a large group once, page by page, while the objects that were read are dropped',
    run({ open }) {
      using store = open()
      const objects = 3000
      store.transact((tx) => {
        for (let index = 0; index < objects; index += 1) tx.record({ kind: 'shard', id: `s${(index * 769) % objects}`, group: 'g', at: index, data: index })
      })
      const visited: number[] = []
      for (let after = 0, pages = 0; pages < 40; pages += 1) {
        const page = store.read((reader) => reader.groupHistory('g', after, 97))
        if (page.length === 0) break
        visited.push(...page.map(({ at }) => at))
        after = page.at(-1)?.sequence as number
        // What was read may go while the rest is still to be read.
        store.transact((tx) => page.forEach(({ id }) => tx.remove('shard', id)))
      }
      expect(visited).toEqual(Array.from({ length: objects }, (_, index) => index))
      expect(store.read((reader) => reader.groupHistory('g', 0, 10))).toEqual([])
    },
  },
  {
    name: 'keeps one deadline per object, earliest first, then by kind and id',
    run({ open }) {
      using store = open()
      expect(store.read((reader) => reader.nextDeadline())).toBeUndefined()
      store.transact((tx) => {
        for (const [kind, id, at] of [
          ['job', 'late', 30],
          ['job', 'b', 20],
          ['job', 'a', 20],
          ['ask', 'z', 20],
          ['job', 'early', -0.5],
          ['job', 'moved', 1],
          ['job', 'cleared', 2],
        ] as const) {
          tx.deadline(kind, id, at)
        }
        tx.deadline('job', 'moved', 25)
        tx.deadline('job', 'cleared', undefined)
        tx.deadline('job', 'never', undefined)
      })
      store.read((reader) => {
        expect(reader.due(20, 10)).toEqual([
          { kind: 'job', id: 'early', at: -0.5 },
          { kind: 'ask', id: 'z', at: 20 },
          { kind: 'job', id: 'a', at: 20 },
          { kind: 'job', id: 'b', at: 20 },
        ])
        expect(ids(reader.due(20, 2))).toEqual(['early', 'z'])
        expect(ids(reader.due(29.9, 10))).toEqual(['early', 'z', 'a', 'b', 'moved'])
        expect(reader.due(-1, 10)).toEqual([])
        expect(reader.due(100, 0)).toEqual([])
        expect(reader.nextDeadline()).toBe(-0.5)
      })
      store.transact((tx) => tx.deadline('job', 'early', undefined))
      expect(store.read((reader) => reader.nextDeadline())).toBe(20)
    },
  },
  {
    name: 'keeps effects in order until they are done, and never gives an outbox id twice',
    run({ open }) {
      using store = open()
      const enqueue = (id: string): number => store.transact((tx) => tx.enqueue(effect(id)))
      const [a, b, c] = [enqueue('a'), enqueue('b'), enqueue('c')]
      expect(a < b && b < c).toBe(true)
      store.transact((tx) => tx.done(b))
      store.transact((tx) => {
        tx.done(b)
        tx.done(c + 1000)
      })
      store.read((reader) => {
        expect(reader.pending(0, 10)).toEqual([
          { outboxId: a, ...effect('a') },
          { outboxId: c, ...effect('c') },
        ])
        expect(ids(reader.pending(0, 1))).toEqual(['a'])
        expect(ids(reader.pending(a, 10))).toEqual(['c'])
        expect(reader.pending(c, 10)).toEqual([])
        expect(reader.pending(0, 0)).toEqual([])
        expect('bytes' in (reader.pending(0, 1)[0] as object)).toBe(false)
      })
      store.transact((tx) => {
        tx.done(a)
        tx.done(c)
      })
      expect(enqueue('d')).toBeGreaterThan(c)
    },
  },
  {
    name: 'cancels every pending effect of one object and of no other',
    run({ open }) {
      using store = open()
      store.transact((tx) => {
        for (const id of ['a', 'b', 'a']) tx.enqueue(effect(id))
        tx.enqueue(effect('a', { kind: 'shard' }))
        tx.cancel('job', 'a')
        tx.cancel('job', 'never')
        tx.enqueue(effect('a', { lane: 'afterwards' }))
      })
      expect(store.read((reader) => reader.pending(0, 9).map(({ kind, id, lane }) => `${kind} ${id} ${lane}`))).toEqual([
        'job b peer',
        'shard a peer',
        'job a afterwards',
      ])
    },
  },
  {
    name: 'keeps bytes as they are, and to itself',
    run({ open }) {
      using store = open()
      const all = Uint8Array.from({ length: 256 }, (_, index) => index)
      const given = all.slice()
      store.transact((tx) => {
        tx.enqueue(effect('all', { bytes: given }))
        tx.enqueue(effect('none', { bytes: new Uint8Array() }))
        tx.enqueue(effect('view', { bytes: all.subarray(10, 13) }))
        tx.enqueue(effect('buffer', { bytes: Buffer.from('buffer') }))
      })
      given.fill(0)
      const bytes = () => store.read((reader) => reader.pending(0, 9).map((entry) => entry.bytes && Array.from(entry.bytes)))
      const expected = [Array.from(all), [], [10, 11, 12], Array.from(Buffer.from('buffer'))]
      expect(bytes()).toEqual(expected)
      store.read((reader) => reader.pending(0, 1)[0]?.bytes?.fill(0))
      expect(bytes()).toEqual(expected)
    },
  },
  {
    name: 'keeps plain data exactly',
    run({ open }) {
      using store = open()
      store.transact((tx) => kept.forEach((data, index) => tx.put(row(String(index), { data }))))
      store.read((reader) => kept.forEach((data, index) => expect(JSON.stringify(reader.get('job', String(index))?.data)).toBe(JSON.stringify(data))))
      expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
      store.transact((tx) => tx.put(row('zero', { data: [-0] })))
      expect(store.read((reader) => Object.is((reader.get('job', 'zero') as unknown as { data: number[] }).data[0], 0))).toBe(true)
    },
  },
  {
    name: 'refuses what JSON does not keep, and says where it stands',
    run({ open }) {
      using store = open()
      for (const [what, value] of refused) {
        const data = value as Data
        for (const write of [
          (tx: Transaction) => tx.put(row('a', { data })),
          (tx: Transaction) => tx.record({ kind: 'job', id: 'a', at: 1, data }),
          (tx: Transaction) => tx.enqueue(effect('a', { data })),
        ]) {
          expect(
            codeOf(() => store.transact(write)),
            what,
          ).toBe('invalid-data')
        }
      }
      expect(() => put(store, row('a', { data: { list: [1, { when: NaN }] } }))).toThrow('data.list[1].when')
      expect(list(store)).toEqual([])
    },
  },
  {
    name: 'refuses names, numbers and flags that it could not give back',
    run({ open }) {
      using store = open()
      const attempts: readonly ((tx: Transaction) => unknown)[] = [
        (tx) => tx.put(row('')),
        (tx) => tx.put(row('a\0b')),
        (tx) => tx.put(row('\ud800')),
        (tx) => tx.put(row('a', { kind: '' })),
        (tx) => tx.put(row(1 as unknown as string)),
        (tx) => tx.put(row('a', { version: 1.5 })),
        (tx) => tx.put(row('a', { version: -1 })),
        (tx) => tx.put(row('a', { open: 1 as unknown as boolean })),
        (tx) => tx.put(row('a', { state: null as unknown as string })),
        (tx) => tx.record({ kind: 'job', id: 'a', at: NaN, data: 1 }),
        (tx) => tx.record({ kind: 'job', id: 'a', group: '', at: 1, data: 1 }),
        (tx) => tx.groupHistory('g', 0.5, 1),
        (tx) => tx.groupHistory('g', 0, -1),
        (tx) => tx.deadline('job', 'a', Infinity),
        (tx) => tx.enqueue(effect('a', { bytes: 'text' as unknown as Uint8Array })),
        (tx) => tx.list('job', { limit: -1 }),
        (tx) => tx.list('job', { limit: 1.5 }),
        (tx) => tx.pending(0, NaN),
        (tx) => tx.due(NaN, 1),
      ]
      for (const attempt of attempts)
        expect(
          codeOf(() => store.transact(attempt)),
          attempt.toString(),
        ).toBe('invalid-data')
      expect(list(store)).toEqual([])
    },
  },
  {
    name: 'shares no memory with its callers',
    run({ open }) {
      using store = open()
      const data = { list: [1], deep: { field: 'before' } }
      const mine = { ...row('a'), data }
      store.transact((tx) => {
        tx.put(mine)
        tx.record({ kind: 'job', id: 'a', at: 1, data })
      })
      data.list.push(2)
      data.deep.field = 'after'
      mine.state = 'changed'
      const expected = JSON.stringify({ list: [1], deep: { field: 'before' } })
      const look = () =>
        store.read((reader) => [
          reader.get('job', 'a')?.state,
          JSON.stringify(reader.get('job', 'a')?.data),
          JSON.stringify(reader.history('job', 'a', 0, 1)[0]?.data),
        ])
      expect(look()).toEqual(['queued', expected, expected])
      store.read((reader) => {
        // A driver may freeze what it returns, or return copies.
        for (const attempt of [
          () => Object.assign(reader.get('job', 'a') as object, { state: 'changed' }),
          () => Object.assign((reader.get('job', 'a') as unknown as { data: typeof data }).data.deep, { field: 'changed' }),
          () => (reader.history('job', 'a', 0, 1)[0] as unknown as { data: typeof data }).data.list.push(3),
        ]) {
          try {
            attempt()
          } catch (error) {
            expect(error).toBeInstanceOf(TypeError)
          }
        }
      })
      expect(look()).toEqual(['queued', expected, expected])
    },
  },
  {
    name: 'refuses all use after disposal, which may be repeated',
    run({ open }) {
      const store = open()
      put(store, row('a'))
      store[Symbol.dispose]()
      store[Symbol.dispose]()
      expect(codeOf(() => store.transact((tx) => tx.put(row('b'))))).toBe('store-closed')
      expect(codeOf(() => store.read((reader) => reader.get('job', 'a')))).toBe('store-closed')
    },
  },
  {
    name: 'finds everything again after a new start, and goes on counting',
    needs: 'reopen',
    run({ open, reopen }) {
      if (!reopen) throw new Error('this case needs reopen')
      const first = open()
      const { sequence, outboxId } = first.transact((tx) => {
        writeEverything(tx, 'a', 1)
        tx.put(row('b', { parent: 'a', open: false }))
        const entry = { sequence: tx.record({ kind: 'job', id: 'x', at: 1, data: null }), outboxId: tx.enqueue(effect('x')) }
        tx.done(entry.outboxId)
        tx.remove('job', 'x')
        return entry
      })
      expect(() =>
        first.transact((tx) => {
          tx.put(row('undone'))
          throw new Error('on purpose')
        }),
      ).toThrow('on purpose')
      const before = seen(first)
      using second = reopen(first)
      expect(seen(second)).toEqual(before)
      expect(before.row?.version).toBe(1)
      expect(list(second)).toEqual(['a', 'b'])
      expect(list(second, { parent: 'a', open: false })).toEqual(['b'])
      second.transact((tx) => {
        expect(tx.record({ kind: 'job', id: 'a', at: 2, data: null })).toBeGreaterThan(sequence)
        expect(tx.enqueue(effect('a'))).toBeGreaterThan(outboxId)
      })
    },
  },
]

export const stateStoreCases: readonly ConformanceCase[] = cases.map(({ run, ...rest }) => ({
  ...rest,
  run: (stores) => inTime(rest.name, stores.deadline ?? defaultDeadline, () => run(stores)),
}))
