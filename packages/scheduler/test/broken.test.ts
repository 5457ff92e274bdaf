import { StateStoreError } from '@skrei/state-store'
import { memoryStateStore } from '@skrei/state-store/memory'
import { expect, test } from 'vitest'
import { setup } from 'xstate'
import type { KernelEvent } from '../src/kernel/event.ts'
import { type Kind, meta } from '../src/kernel/machine.ts'
import { turn } from '../src/kernel/turn.ts'
import { createSimulation, type Simulation } from '../src/simulation/index.ts'
import { contextWith } from './kernel-context.ts'
import { noopJob } from './noop-job.ts'

/** Breaks every machine that reads a row of this kind. */
const breaking = (world: Simulation, wanted: (kind: string) => boolean): { broken: number } => {
  const { store } = world.node(0)
  const { transact } = store
  const counted = { broken: 0 }
  Object.assign(store, {
    transact: (run: Parameters<typeof transact>[0]) =>
      transact((transaction) =>
        run({
          ...transaction,
          get: (kind, id) => {
            if (!wanted(kind)) return transaction.get(kind, id)
            counted.broken += 1
            throw new TypeError('it is not there')
          },
        }),
      ),
  })
  return counted
}

const long = { engine: { type: 'noop', duration: 20_000, files: {} } } as const

test('a job whose shards break their machine ends as node-fault, and what ran is stopped', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 } })
  const requester = world.node(0)
  const counted = breaking(world, (kind) => kind === 'manifest')
  const inputs = [{ source: { type: 'inline', text: 'x' }, path: '/in' }] as const
  const job = await requester.scheduler.submit(noopJob({ ...long, inputs: [...inputs], sharding: { count: 3 } }))
  expect(await world.finish(requester, job, 120_000)).toBe('failed')
  expect(requester.scheduler.job(job)?.failure?.code).toBe('node-fault')
  expect(requester.scheduler.history(job, { limit: 100 }).some((item) => 'fault' in item)).toBe(true)
  expect(counted.broken).toBeGreaterThan(0)
  await world.clock.advance(120_000)
  expect([...world.node(1).running.keys()]).toEqual([])
  await expect(requester.scheduler.submit(noopJob({ ...long, sharding: { count: 3 } }))).rejects.toMatchObject({ code: 'job-invalid' })
  await world.stop()
})

test('a job whose own event breaks its machine ends with it, and its shards and executions with the job', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 } })
  const requester = world.node(0)
  const job = await requester.scheduler.submit(noopJob({ ...long, sharding: { count: 3 } }))
  await world.clock.advance(5000)
  expect(world.node(1).running.size).toBe(3)
  // The job's stopping reads which shards are open.
  const { transact } = requester.store
  let left = 1
  Object.assign(requester.store, {
    transact: (run: Parameters<typeof transact>[0]) =>
      transact((transaction) =>
        run({
          ...transaction,
          list: (kind, where) => {
            if (kind === 'shard' && left-- > 0) throw new TypeError('it is not there')
            return transaction.list(kind, where)
          },
        }),
      ),
  })
  await requester.scheduler.cancel(job)
  await world.clock.advance(1)
  expect(requester.scheduler.job(job)).toMatchObject({ state: 'failed', open: false, failure: { code: 'node-fault' } })
  await world.clock.advance(60_000)
  expect(world.node(1).running.size).toBe(0)
  expect(requester.store.read((reader) => ['shard', 'execution'].flatMap((kind) => reader.list(kind, { open: true, limit: 10 })))).toEqual([])
  await world.stop()
})

test('a job that breaks the node when it is submitted is not accepted', async () => {
  const world = await createSimulation({ nodes: 1 })
  const { scheduler, store } = world.node(0)
  const { transact } = store
  Object.assign(store, {
    transact: (run: Parameters<typeof transact>[0]) =>
      transact((transaction) =>
        run({
          ...transaction,
          put: (row) => {
            if (row.kind === 'job') throw new TypeError('it cannot be')
            transaction.put(row)
          },
        }),
      ),
  })
  await expect(scheduler.submit(noopJob())).rejects.toMatchObject({ code: 'job-invalid' })
  await world.stop()
})

test('neither a message of a peer nor a disk that fails ends what it breaks', () => {
  const machine = setup({ types: {} as { context: object; input: object; events: { type: 'make' | 'break' } } }).createMachine({
    id: 'toy',
    context: ({ input }) => input,
    initial: 'new',
    states: { new: { on: { make: 'live' } }, live: { meta: meta<object>('job', () => 100), on: { break: 'live' } }, over: { type: 'final' } },
  })
  let error: Error = new TypeError('broken')
  const facts: Kind['facts'] = (_reader, _id, _row, event) => {
    if (event.type === 'break') throw error
    return {}
  }
  const kind: Kind = {
    kind: 'toy',
    machine,
    creates: 'make',
    facts,
    parent: () => undefined,
    breakOff: (_reader, { data }) => ({ state: 'over', context: data, outputs: [] }),
  }
  const store = memoryStateStore()
  const context = contextWith({ kinds: { toy: kind } })
  const event = (type: string, more: Partial<KernelEvent> = {}): KernelEvent => ({ kind: 'toy', id: 'a', event: { type, context: {} }, actor: 'test', ...more })
  const state = (): string | undefined => store.read((reader) => reader.get('toy', 'a'))?.state
  turn(store, context, [event('make'), event('break', { fills: { slot: 'x', digest: 'y' } })], [], 0)
  expect(state()).toBe('live')
  error = new StateStoreError('store-unavailable', 'disk full')
  turn(store, context, [event('break')], [], 0)
  expect(state()).toBe('live')
  error = new TypeError('broken')
  turn(store, context, [event('break')], [], 0)
  expect(state()).toBe('over')
})
