import { memoryStateStore } from '@skrei/state-store/memory'
import { expect, test } from 'vitest'
import { assign, setup } from 'xstate'
import type { KernelEvent, Output } from '../src/kernel/event.ts'
import { type Kind, meta } from '../src/kernel/machine.ts'
import { type TurnContext, turn } from '../src/kernel/turn.ts'

interface Toy {
  readonly count: number
}

/** Counts, tells a neighbour, breaks when told to. */
const machine = setup({
  types: {} as { context: Toy; input: Toy; events: { type: 'make' | 'add' | 'pass' | 'break' | 'deadline' | 'end'; readonly now: number } },
  actions: { emit: (_: unknown, _outputs: readonly Output[]) => {} },
}).createMachine({
  id: 'toy',
  context: ({ input }) => input,
  initial: 'new',
  states: {
    new: { on: { make: 'live' } },
    live: {
      meta: meta<Toy>('job', () => 100),
      on: {
        add: { actions: [assign({ count: ({ context }) => context.count + 1 }), { type: 'emit', params: [{ do: 'effect', type: 'work', data: null }] }] },
        pass: { actions: { type: 'emit', params: [{ do: 'tell', kind: 'toy', id: 'b', event: { type: 'add' } }] } },
        break: {
          actions: [
            assign({ count: 99 }),
            {
              type: 'emit',
              params: () => {
                throw new Error('broken on purpose')
              },
            },
          ],
        },
        deadline: { actions: assign({ count: ({ context }) => context.count + 10 }) },
        end: 'over',
      },
    },
    over: { type: 'final' },
  },
})

const setting = (change: Partial<Kind> = {}, pending: NonNullable<TurnContext['pending']>['of'] = () => []) => {
  const store = memoryStateStore()
  const faults: string[] = []
  const kind: Kind = { kind: 'toy', machine, creates: 'make', facts: () => ({}), parent: () => undefined, ...change }
  const context: TurnContext = {
    kinds: { toy: kind },
    encode: () => new Uint8Array(),
    incarnation: () => ({ counter: 1, id: '1'.repeat(16) }),
    equivocated: () => {},
    held: () => undefined,
    pending: { of: pending, interrupting: new Set() },
    freed: () => [],
    refusals: 3,
    recorded: () => {},
    report: (error) => faults.push(String(error)),
    fault: (event, error) => faults.push(`${event.event.type}: ${(error as Error).message}`),
  }
  const event = (id: string, type: string): KernelEvent => ({
    kind: 'toy',
    id,
    event: { type, ...(type === 'make' && { context: { count: 0 } }) },
    actor: 'test',
  })
  return {
    store,
    faults,
    run: (now: number, ...events: readonly [string, string][]) =>
      turn(
        store,
        context,
        events.map(([id, type]) => event(id, type)),
        [],
        now,
      ),
    count: (id: string) => (store.read((reader) => reader.get('toy', id))?.data as Toy | undefined)?.count,
    history: (id: string) => store.read((reader) => reader.history('toy', id, 0, 100)).map(({ data }) => data),
  }
}

test('one turn is one transaction: rows, history, deadlines and effects of all its events', () => {
  const { store, run, count } = setting()
  const before = store.commits
  run(1000, ['a', 'make'], ['b', 'make'], ['a', 'add'], ['a', 'pass'])
  expect(store.commits).toBe(before + 1)
  expect([count('a'), count('b')]).toEqual([1, 1])
  expect(store.read((reader) => reader.pending(0, 10)).map(({ type, id }) => `${type} ${id}`)).toEqual(['work a', 'work b'])
  expect(store.read((reader) => reader.due(2000, 10))).toEqual([
    { kind: 'toy', id: 'a', at: 1100 },
    { kind: 'toy', id: 'b', at: 1100 },
  ])
})

test('an event that breaks its machine is undone, recorded and reported; the rest of the turn stands', () => {
  const { run, count, faults, history } = setting()
  run(0, ['a', 'make'], ['b', 'make'])
  run(1, ['a', 'add'], ['a', 'break'], ['b', 'add'])
  expect([count('a'), count('b')]).toEqual([1, 1])
  expect(faults).toEqual(['break: broken on purpose'])
  expect(history('a')).toContainEqual(expect.objectContaining({ event: 'break', fault: 'Error: broken on purpose' }))
})

test('an event that a state does not accept is recorded, one for an object that never was leaves nothing', () => {
  const { run, history } = setting()
  run(0, ['a', 'make'], ['ghost', 'add'])
  run(1, ['a', 'make'], ['a', 'end'])
  run(2, ['a', 'add'])
  expect(history('a')).toEqual([
    { event: 'make', actor: 'test', from: null, to: 'live' },
    { event: 'make', actor: 'test', refused: 'not-accepted' },
    { event: 'end', actor: 'test', from: 'live', to: 'over' },
    { event: 'add', actor: 'test', refused: 'final' },
  ])
  expect(history('ghost')).toEqual([])
})

test('deadlines that are due are part of every turn, after its events, and an object that ended has none', () => {
  const { run, count, store } = setting()
  run(0, ['a', 'make'], ['b', 'make'])
  run(150, ['b', 'end'])
  expect([count('a'), count('b')]).toEqual([10, 0])
  expect(store.read((reader) => reader.due(10_000, 10))).toEqual([{ kind: 'toy', id: 'a', at: 250 }])
})

test('what an object asked for in the turn in which it moves on is never performed, whatever breaks in between', () => {
  const { run, store } = setting()
  run(0, ['a', 'make'], ['b', 'make'])
  const { effects, dropped } = run(1, ['a', 'add'], ['b', 'add'], ['b', 'break'], ['a', 'end'])
  expect([effects, dropped].map((list) => list.map(({ id, type }) => `${type} ${id}`))).toEqual([['work b'], ['work a']])
  expect(store.read((reader) => reader.pending(0, 10)).map(({ id }) => id)).toEqual(['b'])
})

test('an effect of which is known what it comes to is none: the turn goes on with that', () => {
  const { run, store, history } = setting({ atOnce: (effect) => (effect === 'work' ? { type: 'end' } : undefined) })
  const before = store.commits
  const { effects } = run(0, ['a', 'make'], ['a', 'add'])
  expect([effects, store.commits - before]).toEqual([[], 1])
  expect(store.read((reader) => reader.pending(0, 10))).toEqual([])
  expect(history('a')).toEqual([
    { event: 'make', actor: 'test', from: null, to: 'live' },
    { event: 'end', actor: 'work', from: 'live', to: 'over' },
  ])
})

test('what comes to something at once does not overtake what its object asked for before, in this turn or an earlier one', () => {
  let known = false
  const atOnce = (): { readonly type: string } | undefined => (known ? { type: 'end' } : undefined)
  const same = setting({ atOnce })
  same.run(0, ['a', 'make'], ['a', 'add'])
  known = true
  const earlier = setting({ atOnce }, (lane) => (lane === 'toy a' ? same.store.read((reader) => reader.pending(0, 10)) : []))
  expect(earlier.run(1, ['a', 'make'], ['a', 'add']).effects.map(({ type }) => type)).toEqual(['work'])
  expect(earlier.run(2, ['b', 'make'], ['b', 'add']).effects).toEqual([])
})
