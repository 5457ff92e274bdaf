import { memoryStateStore } from '@skrei/state-store/memory'
import { memoryNetwork, virtualClock } from '@skrei/transport/memory'
import { expect, test } from 'vitest'
import { guardedClock } from '../src/guarded-clock.ts'
import { createKernel } from '../src/kernel/kernel.ts'
import { createLeases } from '../src/leases.ts'
import { createPeers } from '../src/peers.ts'
import { defaultSettings } from '../src/settings.ts'
import { createSimulation, type SimulatedNode } from '../src/simulation/index.ts'
import { contextWith } from './kernel-context.ts'
import { noopJob } from './noop-job.ts'

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** From now on its store can do nothing, or everything again. */
const breakable = (node: SimulatedNode) => {
  const { store } = node
  const { read, transact } = store
  const fail = (): never => {
    throw new Error('input/output error')
  }
  return {
    break: () => void Object.assign(store, { read: fail, transact: fail }),
    mend: () => void Object.assign(store, { read, transact }),
  }
}

test('an alarm that throws is reported, and the others ring', async () => {
  const clock = virtualClock()
  const [reported, rung]: [unknown[], string[]] = [[], []]
  const guarded = guardedClock(clock, (error) => reported.push(error))
  const failing = (): never => {
    throw new Error('broken')
  }
  guarded.at(clock.now() + 10, failing)
  guarded.soon(failing)
  guarded.at(clock.now() + 20, () => rung.push('later'))
  await clock.advance(100)
  expect([reported.map(String), rung]).toEqual([['Error: broken', 'Error: broken'], ['later']])
})

test('what must be written before a turn and cannot be is the failure of that turn: whoever submitted is told, and the next one goes on', async () => {
  let isFull = true
  const beforeTurn = (): void => {
    if (isFull) throw new Error('disk full')
  }
  const kernel = createKernel({ store: memoryStateStore(), clock: virtualClock(), context: contextWith(), beforeTurn })
  await expect(kernel.submit([])).rejects.toThrow('disk full')
  isFull = false
  await expect(kernel.submit([])).resolves.toBeUndefined()
})

test('deadlines that are due while nothing can be written are tried once a second, not without end', async () => {
  const clock = virtualClock({ start: 1000 })
  const store = memoryStateStore()
  let turns = 0
  const beforeTurn = (): void => {
    turns += 1
    throw new Error('disk full')
  }
  const kernel = createKernel({ store, clock, context: contextWith(), beforeTurn })
  store.transact((transaction) => transaction.deadline('x', 'a', 1500))
  kernel.start()
  await clock.advance(10_500)
  expect(turns).toBeGreaterThan(5)
  expect(turns).toBeLessThan(15)
  kernel.stop()
})

test('a store that fails for a while, over a jump of the clock too, ends neither the node nor its heartbeats', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 } })
  const [requester, node] = [world.node(0), world.node(1)]
  const job = await requester.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 120_000, files: {} }, timeouts: { execution: 600_000 } }))
  await world.clock.advance(5000)
  const broken = breakable(node)
  broken.break()
  node.clock.jump(3_600_000)
  // A beat falls into it, but not the lease.
  await world.clock.advance(900)
  broken.mend()
  expect(world.errors.length).toBeGreaterThan(0)
  expect(await world.finish(requester, job, 200_000)).toBe('completed')
  expect(requester.scheduler.result(job)?.shards[0]?.executions.map(({ outcome, failure }) => failure?.detail ?? outcome)).toEqual(['completed'])
  await world.stop()
})

test('progress that an engine tells after the node stopped sets no alarm', async () => {
  const clock = virtualClock()
  const store = memoryStateStore()
  const kernel = createKernel({ store, clock, context: contextWith(), beforeTurn: () => {} })
  const transport = memoryNetwork({ clock, seed: 1 }).join('a')
  const world = { network: 'test', incarnation: () => ({ counter: 1, id: '0'.repeat(16) }), store, kernel, clock, transport, logger: silent }
  const peers = createPeers({ store, clock, lease: 3000, logger: silent })
  const leases = createLeases({ ...world, peers, settings: defaultSettings, onBeat: () => {}, onHeard: () => {}, report: () => {}, onProgress: () => {} })
  leases[Symbol.dispose]()
  leases.progress('execution', 'requester', 0.5)
  expect(clock.waiting).toBe(0)
})
