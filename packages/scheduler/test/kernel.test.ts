import { memoryStateStore } from '@skrei/state-store/memory'
import { virtualClock } from '@skrei/transport/memory'
import { expect, test } from 'vitest'
import type { KernelEvent } from '../src/kernel/event.ts'
import { createKernel } from '../src/kernel/kernel.ts'
import { contextWith } from './kernel-context.ts'

const setting = () => {
  const faults: string[] = []
  const clock = virtualClock()
  const store = memoryStateStore()
  const kernel = createKernel({ store, clock, context: contextWith({ fault: ({ id }) => faults.push(id) }), beforeTurn: () => {} })
  /** Of no kind that there is: each is a fault, and changes nothing. */
  const events = (id: string, count = 1): readonly KernelEvent[] =>
    Array.from({ length: count }, () => ({ kind: 'x', id, event: { type: 'x' }, actor: 'test' }))
  let turns = 0
  kernel.onTurn(() => {
    turns += 1
  })
  return { clock, store, kernel, faults, events, turns: () => turns }
}

test('all that is submitted in one pass of the event loop shares one turn, in order', async () => {
  const { kernel, faults, events, turns } = setting()
  const all = ['a', 'b'].map((id) => kernel.submit(events(id)))
  await Promise.resolve()
  all.push(kernel.submit(events('c')))
  expect(turns()).toBe(0)
  await Promise.all(all)
  expect([turns(), faults]).toEqual([1, ['a', 'b', 'c']])
})

test('a turn does not take more events than it may, and leaves whole submissions to the next one', async () => {
  const { kernel, faults, events, turns } = setting()
  const first = kernel.submit(events('a', 1000))
  const then = [kernel.submit(events('b', 200)), kernel.submit(events('c', 50)), kernel.submit(events('d', 50))]
  await first
  expect([turns(), faults.length]).toEqual([1, 1000])
  await Promise.all(then)
  expect([turns(), faults.length]).toEqual([3, 1300])
})

test('effects that may run twice leave the outbox with the next turn, or a little later, or when the node stops', async () => {
  const { clock, store, kernel, events } = setting()
  const effect = { kind: 'x', id: 'a', type: 'send', lane: 'b', data: null }
  const ids = store.transact((transaction) => [1, 2, 3].map(() => transaction.enqueue(effect)))
  const left = (): readonly number[] => store.read((reader) => reader.pending(0, 10)).map(({ outboxId }) => outboxId)
  const [one = 0, two = 0, three = 0] = ids
  kernel.forget([one])
  await clock.advance(1)
  expect(left()).toEqual(ids)
  const before = store.commits
  await kernel.submit(events('a'))
  expect([left(), store.commits - before]).toEqual([[two, three], 1])
  kernel.forget([two])
  await clock.advance(200)
  expect([left(), store.commits - before]).toEqual([[three], 2])
  kernel.forget([three])
  kernel.flush()
  await clock.advance(1000)
  expect([left(), store.commits - before]).toEqual([[], 3])
})

test('a deadline fires in time, be it earlier than the last one that was set, and moved ones cost no turn', async () => {
  const clock = virtualClock({ start: 1000 })
  const store = memoryStateStore()
  const fired: string[] = []
  const kernel = createKernel({ store, clock, context: contextWith({ fault: ({ id }) => fired.push(`${id}@${clock.now()}`) }), beforeTurn: () => {} })
  let turns = 0
  kernel.onTurn(() => {
    turns += 1
  })
  const set = (id: string, at: number | undefined): void => store.transact((transaction) => transaction.deadline('x', id, at))
  set('a', 1500)
  set('b', 1800)
  kernel.start()
  set('a', 1700)
  await clock.advance(600)
  expect([fired, turns]).toEqual([[], 0])
  await clock.advance(1000)
  // Of no kind that there is: each is a fault, and tried again a minute later.
  expect([fired, turns]).toEqual([['a@1700', 'b@1800'], 2])
  await clock.advance(60_000)
  expect(fired.slice(2)).toEqual(['a@61700', 'b@61800'])
  kernel.stop()
})

test('a store that is closed under a running kernel rejects those who wait and reports the rest: nothing is thrown at nobody', async () => {
  const reported: string[] = []
  const context = contextWith({
    undone: () => {
      throw new Error('the rows cannot be read again')
    },
    report: (error) => void reported.push(error instanceof Error ? error.message : String(error)),
  })
  const store = memoryStateStore()
  const kernel = createKernel({ store, clock: virtualClock(), context, beforeTurn: () => {} })
  kernel.start()
  store[Symbol.dispose]()
  await expect(kernel.submit([])).rejects.toThrow(/disposed/)
  expect(reported).toEqual(['the rows cannot be read again'])
  kernel.stop()
})
