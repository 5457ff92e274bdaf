import { expect, test } from 'vitest'
import { createSimulation } from '../src/simulation/index.ts'
import { noopJob } from './noop-job.ts'

const ttl = 90_000

test('a network that has nothing to do looks up once in a while, and beats again as soon as there is work', async () => {
  const world = await createSimulation({ nodes: 20, requesterOnly: true, settings: { gossipBelow: 0, announcementTtl: ttl, heartbeat: 1000, lease: 3000 } })
  await world.clock.advance(10_000)
  const idle = world.clock.waiting
  // An announcement to itself and a look for what may be forgotten, and nothing else.
  expect(idle).toBeLessThanOrEqual(2 * 20)
  const requester = world.node(0)
  const job = await requester.scheduler.submit(noopJob({ sharding: { count: 4 }, engine: { type: 'noop', duration: 20_000, files: {} } }))
  // Much longer than a lease: without heartbeats, the executions would be lost.
  expect(await world.finish(requester, job, 60_000)).toBe('completed')
  expect(requester.scheduler.history(job, { limit: 1000 }).some(({ event }) => event === 'missing' || event === 'unheard')).toBe(false)
  expect(world.network.counters().hints).toBeGreaterThan(4 * 10)
  await world.clock.advance(10_000)
  expect(world.clock.waiting).toBeLessThanOrEqual(2 * 20)
  await world.stop()
})

test('choosing nodes looks at a part of the peers, however many there are', async () => {
  const limits: (number | undefined)[] = []
  const world = await createSimulation({
    nodes: 40,
    requesterOnly: true,
    settings: { gossipBelow: 0 },
    between: (transport) => ({
      ...transport,
      peers: (options) => {
        limits.push(options?.limit)
        return transport.peers(options)
      },
    }),
  })
  const requester = world.node(0)
  expect(
    await world.finish(requester, await requester.scheduler.submit(noopJob({ sharding: { count: 20 }, engine: { type: 'noop', duration: 10, files: {} } }))),
  ).toBe('completed')
  expect(limits.length).toBeGreaterThan(0)
  expect(limits.every((limit) => limit !== undefined && limit <= 1024)).toBe(true)
  await world.stop()
})
