import { expect, test } from 'vitest'
import { createWorld, noopJob } from './world.ts'

test('a job with many shards runs on many nodes and every shard has one recorded result', async () => {
  const world = await createWorld({ nodes: 5, link: { latency: 5, jitter: 10 } })
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit(noopJob({ sharding: { count: 40 } }))
  expect(await world.finish(requester, jobId)).toBe('completed')
  const result = requester.scheduler.result(jobId)
  expect(result?.shards.map(({ state }) => state)).toEqual(Array.from({ length: 40 }, () => 'completed'))
  expect(new Set(result?.shards.map(({ node }) => node)).size).toBe(5)
  await world.clock.advance(60_000)
  for (const node of world.nodes) {
    expect(node.store.read((reader) => reader.list('compute', { open: true, limit: 10 }))).toEqual([])
    expect(node.store.read((reader) => reader.pending(0, 10))).toEqual([])
    expect(node.store.read((reader) => reader.get('ledger', 'node')?.data ?? { cpu: 0, memory: 0, disk: 0, devices: {} })).toEqual({
      cpu: 0,
      memory: 0,
      disk: 0,
      devices: {},
    })
  }
  expect(world.errors).toEqual([])
  await world.stop()
})
