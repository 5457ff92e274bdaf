import { virtualClock } from '@skrei/transport/memory'
import { expect, test } from 'vitest'
import { createAskLimit } from '../src/compute/ask-limit.ts'
import { createSimulation } from '../src/simulation/index.ts'
import { asker } from './asker.ts'
import { noopJob } from './noop-job.ts'

const limits = { asksAtOnce: 5, asksPerSecond: 1, retryAfter: 1000, longestRetryAfter: 60_000 }

test('of a requester that asks too often only so many asks are looked into: the rest is declined, leaves nothing, and holds up nobody else', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, settings: limits })
  const node = world.node(1)
  const greedy = await asker(world, 'greedy')
  for (let index = 0; index < 50; index++) await greedy.ask(node.id, [index])
  await world.clock.advance(100)
  const declines = greedy.declines()
  expect(declines).toHaveLength(45)
  for (const { refusals, retryAfter = 0 } of declines) {
    expect(refusals).toEqual([{ code: 'busy', detail: 'you ask more often than this node looks into' }])
    expect(retryAfter).toBeGreaterThanOrEqual(1000)
    expect(retryAfter).toBeLessThan(2000)
  }
  // Not all at the same time again.
  expect(new Set(declines.map(({ retryAfter }) => retryAfter)).size).toBeGreaterThan(20)
  expect(node.store.read((reader) => reader.list('compute', { limit: 1000 }))).toHaveLength(5)
  // What is said again is the same, and one that was looked into is answered whatever the pace.
  await greedy.ask(node.id, [49])
  await greedy.ask(node.id, [0])
  await world.clock.advance(100)
  expect(new Set(greedy.got.flatMap(({ type, body }) => ('askId' in body && body.askId === 'a/49' ? [JSON.stringify([type, body])] : []))).size).toBe(1)
  expect(greedy.got.filter(({ type, body }) => type === 'bid' && 'askId' in body && body.askId === 'a/0')).toHaveLength(2)
  const jobId = await world.node(0).scheduler.submit(noopJob({ sharding: { count: 3 } }))
  expect(await world.finish(world.node(0), jobId)).toBe('completed')
  await world.stop()
})

test('a job with more shards than a node looks into at once is done all the same', async () => {
  const world = await createSimulation({ nodes: 3, requesterOnly: true, settings: { ...limits, asksPerSecond: 5 } })
  const jobId = await world.node(0).scheduler.submit(noopJob({ sharding: { count: 60 }, engine: { type: 'noop', duration: 10, files: {} } }))
  expect(await world.finish(world.node(0), jobId)).toBe('completed')
  expect(world.errors).toEqual([])
  await world.stop()
})

test('the pace is each requester’s own, and only so many are remembered', async () => {
  const clock = virtualClock({ start: 0 })
  const limit = createAskLimit({ clock, settings: limits })
  const times = (requester: string, count: number): number => Array.from({ length: count }, () => limit.take(requester)).filter(Boolean).length
  expect([times('a', 10), times('b', 3), times('a', 1)]).toEqual([5, 3, 0])
  await clock.advance(2000)
  expect([times('a', 10), times('b', 10)]).toEqual([2, 4])
  for (let index = 0; index < 1024; index++) limit.take(`n${index}`)
  expect(times('a', 10)).toBe(5)
})
