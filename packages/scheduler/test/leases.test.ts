import type { Task } from '@skrei/job-spec'
import { encodeHint, type Hint } from '@skrei/protocol'
import { memoryStateStore } from '@skrei/state-store/memory'
import { expect, test } from 'vitest'
import { createAdmission } from '../src/compute/admission.ts'
import { limitsOf } from '../src/compute/capacity.ts'
import type { ComputeContext } from '../src/machines/compute-execution.ts'
import { defaultSettings } from '../src/settings.ts'
import { createSimulation, type SimulatedNode, type Simulation } from '../src/simulation/index.ts'
import { noopJob } from './noop-job.ts'

const running = (world: Simulation): number => world.nodes.reduce((sum, node) => sum + node.running.size, 0)

/** How often a store is read from now on, and how often it is asked for rows of a kind. */
const reads = (node: SimulatedNode) => {
  const counted = { reads: 0, lists: 0 }
  const { read } = node.store
  Object.assign(node.store, {
    read: (run: Parameters<typeof read>[0]) => {
      counted.reads += 1
      return read((reader) =>
        run({
          ...reader,
          list: (kind, where) => {
            if (kind === 'execution' && where.limit > 1) counted.lists += 1
            return reader.list(kind, where)
          },
        }),
      )
    },
  })
  return counted
}

const incarnationOf = (node: SimulatedNode): Hint['incarnation'] => {
  const { counter = 0, id = '' } = (node.store.read((reader) => reader.get('node', 'self'))?.data ?? {}) as { counter?: number; id?: string }
  return { counter, id }
}

test('a heartbeat costs what its sender runs here, not what is open here; a stranger costs a look now and then', async () => {
  const world = await createSimulation({ nodes: 3, requesterOnly: true, link: { latency: 5 }, capacity: { cpu: 100_000, memory: 2 ** 40, disk: 2 ** 50 } })
  const requester = world.node(0)
  await requester.scheduler.submit(noopJob({ sharding: { count: 60 }, engine: { type: 'noop', duration: 60_000, files: {} } }))
  await world.clock.advance(5000)
  expect(running(world)).toBe(60)
  const counted = reads(requester)
  await world.clock.advance(5000)
  expect(counted.lists).toBe(0)
  const stranger = world.network.join('stranger')
  await stranger.start()
  const before = counted.reads
  const executions = Array.from({ length: 1000 }, (_, index) => ({ id: `x${index}`, phase: 'running' as const }))
  for (let beat = 1; beat <= 50; beat++)
    stranger.hint(requester.id, encodeHint({ type: 'alive', network: 'test', incarnation: { counter: 1, id: '1'.repeat(16) }, counter: beat, executions }))
  await world.clock.advance(50)
  // Of fifty times a thousand, two are read, and a few of each looked up; the honest beat is among them.
  expect(counted.reads - before).toBeLessThan(2 * 64 + 20)
  await world.stop()
})

test('a requester that answers a heartbeat that was never sent stops nothing by it', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 } })
  const [requester, node] = [world.node(0), world.node(1)]
  await requester.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 60_000, files: {} } }))
  await world.clock.advance(5000)
  const stop = [...node.running.keys()]
  expect(stop.length).toBe(1)
  requester.transport.hint(
    node.id,
    encodeHint({ type: 'lease', network: 'test', incarnation: incarnationOf(requester), counter: 1_000_000, lease: 3000, stop }),
  )
  await world.clock.advance(2000)
  expect(node.running.size).toBe(1)
  await world.stop()
})

test('a node beats as often as the lease of its requester needs, whatever it has set for its own jobs', async () => {
  const world = await createSimulation({
    nodes: 2,
    requesterOnly: true,
    link: { latency: 5, loss: 0.05 },
    settingsOf: (index) => (index === 0 ? { lease: 8000, heartbeat: 2000 } : { lease: 120_000, heartbeat: 30_000 }),
  })
  const requester = world.node(0)
  const job = await requester.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 100_000, files: {} } }))
  expect(await world.finish(requester, job, 600_000)).toBe('completed')
  expect(requester.scheduler.result(job)?.shards[0]?.executions.map(({ outcome }) => outcome)).toEqual(['completed'])
  await world.stop()
})

test('what runs on is still counted after a turn that could not be written', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 } })
  const [requester, node] = [world.node(0), world.node(1)]
  const job = await requester.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 30_000, files: {} } }))
  await world.clock.advance(5000)
  const { transact } = node.store
  Object.assign(node.store, {
    transact: () => {
      Object.assign(node.store, { transact })
      throw new Error('disk full')
    },
  })
  await requester.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 10, files: {} } }))
  expect(await world.finish(requester, job, 600_000)).toBe('completed')
  expect(requester.scheduler.result(job)?.shards[0]?.executions.map(({ outcome }) => outcome)).toEqual(['completed'])
  await world.stop()
})

test('an ask with a lease that no node can hold is refused, with the reason', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, settingsOf: (index) => (index === 0 ? { lease: 300, heartbeat: 100 } : {}) })
  const requester = world.node(0)
  const job = await requester.scheduler.submit(noopJob())
  expect(await world.finish(requester, job, 600_000)).toBe('failed')
  expect(requester.scheduler.job(job)?.failure?.detail).toContain('too short to hold')
  await world.stop()
})

test('a requester has no more at one node than a heartbeat can name: the rest waits', async () => {
  const most = 8192 - 256
  let held = most
  const limits = { cpu: 1e9, memory: 2 ** 50, disk: 2 ** 50 }
  const task = { resources: { cpu: 1, memory: 1, disk: 1, gpu: { count: 0 } } } as unknown as Task
  const admission = createAdmission({
    options: {},
    settings: defaultSettings,
    limits: limitsOf(limits, undefined),
    devices: () => [],
    now: () => 0,
    random: () => 0,
    held: () => held,
  })
  const context = { id: 'a', requester: 'r', task } as unknown as ComputeContext
  const store = memoryStateStore()
  expect(store.read((reader) => admission.turn(reader, context))).toEqual({ may: true })
  held = most + 1
  expect(store.read((reader) => admission.turn(reader, context))).toEqual({ may: false })
})
