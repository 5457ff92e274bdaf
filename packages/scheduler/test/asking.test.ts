import { expect, test } from 'vitest'
import type { ShardContext } from '../src/machines/shard.ts'
import { createSimulation, type SimulatedNode } from '../src/simulation/index.ts'
import { noopJob } from './noop-job.ts'

const quick = noopJob({ engine: { type: 'noop', duration: 100 }, outputs: [], publisher: [{ type: 'none' }] })

/** Nodes that were asked anything. */
const asked = (nodes: readonly SimulatedNode[]): readonly SimulatedNode[] =>
  nodes.filter(({ up, store }) => up && store.read((reader) => reader.list('compute', { limit: 1 })).length > 0)

test('where the best-ranked node has room, nobody else is asked', async () => {
  const world = await createSimulation({ nodes: 10, requesterOnly: true, link: { latency: 5 } })
  const requester = world.node(0)
  const before = world.network.counters().messages
  expect(await world.finish(requester, await requester.scheduler.submit(quick))).toBe('completed')
  await world.clock.advance(5000)
  expect(asked(world.nodes)).toHaveLength(1)
  // ask, bid, award, awarded, finished, settle: where nothing is published, nothing is permitted or fetched
  expect(world.network.counters().messages - before).toBe(6)
  await world.stop()
})

test('what is published costs a verdict and its answer more', async () => {
  const world = await createSimulation({ nodes: 10, requesterOnly: true, link: { latency: 5 } })
  const requester = world.node(0)
  const before = world.network.counters().messages
  expect(await world.finish(requester, await requester.scheduler.submit(noopJob()))).toBe('completed')
  await world.clock.advance(5000)
  // ask, bid, award, awarded, finished, verdict, published, settle
  expect(world.network.counters().messages - before).toBe(8)
  await world.stop()
})

test('where it does not answer, others are asked in a moment', async () => {
  const world = await createSimulation({ nodes: 10, requesterOnly: true, link: { latency: 5 } })
  const requester = world.node(0)
  const begun = world.clock.now()
  const jobId = await requester.scheduler.submit(quick)
  await world.clock.advance(0)
  const [first] = requester.store
    .read((reader) => reader.list('shard', { parent: jobId, limit: 1 }))
    .map(({ data }) => data as unknown as { asked: { node: string }[] })
  world.nodes.find(({ id }) => id === first?.asked[0]?.node)?.crash()
  expect(await world.finish(requester, jobId)).toBe('completed')
  // The wait for the one, and twice at most for those that were asked then: three seconds, were they asked with the time for more nodes.
  expect(world.clock.now() - begun).toBeLessThan(1500)
  expect(asked(world.nodes)).toHaveLength(2)
  await world.stop()
})

test('where it says no, others are asked at once', async () => {
  const world = await createSimulation({
    nodes: 4,
    requesterOnly: true,
    link: { latency: 5 },
    settings: { queue: 0, bidWindow: 10_000 },
    capacity: { cpu: 500 },
  })
  const requester = world.node(0)
  const job = { ...quick, sharding: { count: 3 } }
  const begun = world.clock.now()
  expect(await world.finish(requester, await requester.scheduler.submit(job))).toBe('completed')
  // Each on another node: nobody waited for the window.
  expect(asked(world.nodes)).toHaveLength(3)
  expect(world.clock.now() - begun).toBeLessThan(1000)
  await world.stop()
})

test('a node that has room is found, though none of those that were asked ever answers', async () => {
  const world = await createSimulation({ nodes: 22, requesterOnly: true, seed: 3, link: { latency: 5 }, capacity: { cpu: 1000 }, settings: { maxAsks: 4 } })
  const [requester, other] = [world.node(0), world.node(21)]
  const second = 1000
  const hour = 3600 * second
  const whole = { ...quick, resources: { cpu: 1000 }, timeouts: { execution: 11 * hour, total: 20 * hour, queue: hour } }
  const busy = (): readonly string[] => world.nodes.filter(({ running }) => running.size > 0).map(({ id }) => id)
  await other.scheduler.submit({ ...whole, engine: { type: 'noop', duration: 10 * hour }, sharding: { count: 20 } })
  await world.clock.advance(120 * second)
  const full = busy()
  expect(full).toHaveLength(20)
  for (let job = 0; job < 10; job++) {
    const begun = world.clock.now()
    expect(await world.finish(requester, await requester.scheduler.submit(whole))).toBe('completed')
    expect(world.clock.now() - begun).toBeLessThan(second)
  }
  // All are full when the shard asks, as many wait as may, and then one that was not asked becomes free: it is asked in place of another.
  await other.scheduler.submit({ ...whole, engine: { type: 'noop', duration: 300 * second } })
  await world.clock.advance(60 * second)
  const [last = ''] = busy().filter((node) => !full.includes(node))
  const jobId = await requester.scheduler.submit(whole)
  await world.clock.advance(60 * second)
  const shards = requester.store.read((reader) => reader.list('shard', { parent: jobId, limit: 1 })).map(({ data }) => data as unknown as ShardContext)
  expect(shards[0]?.asked).toHaveLength(4)
  expect(shards[0]?.asked.map(({ node }) => node)).not.toContain(last)
  expect(await world.finish(requester, jobId)).toBe('completed')
  expect(requester.scheduler.result(jobId)?.shards[0]?.node).toBe(last)
  await world.clock.advance(5 * second)
  // Those that still had it in their queue were let go.
  expect(
    full.flatMap((node) => world.nodes.find(({ id }) => id === node)?.store.read((reader) => reader.list('compute', { state: 'queued', limit: 9 })) ?? []),
  ).toEqual([])
  await world.stop()
})
