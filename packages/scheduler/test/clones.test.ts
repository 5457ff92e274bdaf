import type { Transport } from '@skrei/transport'
import { expect, test } from 'vitest'
import type { SchedulerEvent } from '../src/options.ts'
import { createSimulation, type SimulatedNode, type Simulation } from '../src/simulation/index.ts'
import { quiet, watchInvariants } from './invariants.ts'
import { noopJob } from './noop-job.ts'

const [other, twin] = ['node-0001', 'node-0002']

/** Node 2 is to be a clone of this one: what it says comes from that, and what is for that reaches one of the two, in turns. */
const withTwin = async (mine: string): Promise<Simulation & { readonly alerts: string[] }> => {
  /** Of each sender its own: what one of them sends in the rhythm of another must not all reach the same one. */
  const turns = new Map<string, number>()
  const turn = (from: string): number => {
    const now = (turns.get(from) ?? 0) + 1
    turns.set(from, now)
    return now
  }
  const alerts: string[] = []
  const real = (from: string): string => (from === twin ? mine : from)
  const isUp = (id: string): boolean => world.nodes.find((node) => node.id === id)?.up === true
  const route = (to: string, self: string): string =>
    to === mine && self !== mine && self !== twin && isUp(twin) && (!isUp(mine) || turn(self) % 2 === 0) ? twin : to
  const between = (transport: Transport, id: string): Transport => ({
    ...transport,
    self: real(id),
    send: (to, messages, options) => transport.send(route(to, id), messages, options),
    hint: (to, bytes) => transport.hint(route(to, id), bytes),
    receive: (handler) => transport.receive((from, messages) => handler(real(from), messages)),
    onHint: (handler) => transport.onHint((from, bytes) => handler(real(from), bytes)),
  })
  const world: Simulation = await createSimulation({
    nodes: 4,
    requesterOnly: true,
    link: { latency: 5 },
    between,
    identity: (index) => (index === 2 ? mine : undefined),
    absent: (index) => index === 2,
    warned: (id, message, fields) => void (fields?.['code'] === 'duplicate-identity' && alerts.push(`${id}: ${message}`)),
  })
  return Object.assign(world, { alerts })
}

const clone = async (world: Simulation, of: number): Promise<void> => {
  const image = world.node(of).store.snapshot()
  world.node(2).crash()
  await world.node(2).restart(image)
}

/** What a node tells its watchers of a node with its key, from now on. */
const duplicatesTold = (node: SimulatedNode): Extract<SchedulerEvent, { type: 'duplicate-identity' }>[] => {
  const told: Extract<SchedulerEvent, { type: 'duplicate-identity' }>[] = []
  node.scheduler.watch((event) => void (event.type === 'duplicate-identity' && told.push(event)))
  return told
}

/** Shards with more than one execution that was completed, and results that are of none. */
const doubles = (requester: SimulatedNode, jobId: string): readonly unknown[] =>
  (requester.scheduler.result(jobId)?.shards ?? []).filter(({ executions }) => executions.filter(({ outcome }) => outcome === 'completed').length > 1)

// A quarter of a lease, which it takes to find out, before the executions end: there is something left to say.
test.each([200, 1200, 2000])('a store cloned onto a second live node after %i ms: peers find it out, both are told, nothing is recorded twice', async (at) => {
  const world = await withTwin(other)
  const invariants = watchInvariants(world)
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit(
    noopJob({ sharding: { count: 6 }, engine: { type: 'noop', duration: 3000, files: { '/out/a': 'x' } }, retry: { attempts: 20 } }),
  )
  await world.clock.advance(at)
  await clone(world, 1)
  const told = [1, 2].map((index) => duplicatesTold(world.node(index)))
  await world.clock.advance(60_000)
  for (const one of told) {
    expect(one.length).toBeGreaterThan(0)
    expect(one.filter(({ node }) => node !== other && node !== 'node-0000')).toEqual([])
    // Each refused message would be one; each node's word is told once in that time.
    expect(one.filter(({ node }) => node === other).length).toBeLessThanOrEqual(1 + 60_000 / world.settings.announcementTtl)
    expect(one.length).toBeLessThanOrEqual(2 * (1 + 60_000 / world.settings.announcementTtl))
  }
  // The requester has seen two that live, and both of them have heard of each other.
  expect(world.alerts.filter((alert) => alert.startsWith('node-0000: two nodes live with one key'))).not.toEqual([])
  expect(world.alerts.filter((alert) => alert.startsWith('node-0001: a peer refused a message'))).not.toEqual([])
  expect(world.errors.filter((error) => error.includes('another node lives with the key of this one'))).toHaveLength(world.errors.length)
  expect(new Set(world.errors.map((error) => error.slice(0, 9)))).toEqual(new Set([other, twin]))
  expect(await world.finish(requester, jobId)).toBe('completed')
  expect(doubles(requester, jobId)).toEqual([])
  await world.clock.advance(7_200_000)
  invariants.checkAll()
  expect(quiet(world)).toEqual([])
})

test.each([200, 1200, 2500])(
  'a requester whose home was copied after %i ms and runs twice: the older is refused, and nothing is recorded twice',
  async (at) => {
    const world = await withTwin('node-0000')
    const invariants = watchInvariants(world)
    // Of two requesters with one id, neither knows what the other grants and accepts: invariants 6 and 11 are about one.
    world.onEvent = () => {}
    world.onHappened = () => {}
    const [requester, copy] = [world.node(0), world.node(2)]
    const job = noopJob({
      sharding: { count: 8 },
      resources: { cpu: 1000 },
      engine: { type: 'noop', duration: 8000, files: { '/out/a': 'x' } },
      retry: { attempts: 20 },
    })
    const jobId = await requester.scheduler.submit(job)
    await world.clock.advance(at)
    await clone(world, 0)
    const told = duplicatesTold(requester)
    await world.clock.advance(5000)
    const more = await requester.scheduler.submit(noopJob({ sharding: { count: 4 } }))
    await world.clock.advance(4000)
    // A node that computes sees that two live, and tells the older, whose work is in vain.
    expect(world.alerts.filter((alert) => alert.includes(': two nodes live with one key'))).not.toEqual([])
    expect(world.alerts.filter((alert) => alert.startsWith('node-0000: a peer refused a message'))).not.toEqual([])
    expect(told.length).toBeGreaterThan(0)
    // By each node once.
    expect(told.map(({ node }) => node).toSorted()).toEqual([...new Set(told.map(({ node }) => node))].toSorted())
    const refused = requester.scheduler.history(more, { limit: 1000 }).flatMap((item) => ('undeliverable' in item ? [item.undeliverable] : []))
    expect(refused.length).toBeGreaterThan(0)
    expect(new Set(refused.map(({ code }) => code))).toEqual(new Set(['duplicate-identity']))
    expect(requester.scheduler.job(more)?.shards?.completed).toBe(0)
    expect(doubles(requester, jobId)).toEqual([])
    // Its operator stops it: the copy has the job, and goes on with it alone. What was said to the other meanwhile is lost to it: an ask may stay without an answer.
    requester.crash()
    const state = await world.finish(copy, jobId)
    expect([state, copy.scheduler.job(jobId)?.failure?.code]).toEqual(state === 'completed' ? [state, undefined] : ['failed', 'queue-timeout'])
    expect(doubles(copy, jobId)).toEqual([])
    const later = await copy.scheduler.submit(noopJob({ sharding: { count: 4 } }))
    expect(await world.finish(copy, later)).toBe('completed')
    await world.clock.advance(7_200_000)
    invariants.checkAll()
    expect(quiet(world)).toEqual([])
    await world.stop()
  },
)

test.each(['rolled back', 'lost'] as const)(
  'a compute node whose store is %s: it is heard again at once, its executions are lost and run again, nothing stays',
  async (what) => {
    const world = await createSimulation({ nodes: 3, requesterOnly: true, link: { latency: 5 } })
    const [requester, node] = [world.node(0), world.node(1)]
    const jobId = await requester.scheduler.submit(noopJob({ sharding: { count: 4 }, engine: { type: 'noop', duration: 3000, files: { '/out/a': 'x' } } }))
    await world.clock.advance(15)
    const image = node.store.snapshot()
    await world.clock.advance(2000)
    // Once more, so that what it goes back to is more than one start ago.
    node.crash()
    await node.restart()
    await world.clock.advance(100)
    node.crash()
    await node.restart(what === 'lost' ? 'empty' : image)
    expect(await world.finish(requester, jobId, 120_000)).toBe('completed')
    // It takes part again.
    const more = await requester.scheduler.submit(noopJob({ sharding: { count: 8 }, resources: { cpu: 1000 } }))
    expect(await world.finish(requester, more, 120_000)).toBe('completed')
    expect(world.happened.filter(({ what: happened, node: id }) => happened === 'ended' && id === node.id).length).toBeGreaterThan(0)
    expect([doubles(requester, jobId), doubles(requester, more)]).toEqual([[], []])
    await world.clock.advance(7_200_000)
    expect(quiet(world)).toEqual([])
    expect(world.errors).toEqual([])
  },
)

test.each(['rolled back', 'lost'] as const)(
  'a requester whose store is %s: its nodes stop what nobody wants any more, and go on to work for it',
  async (what) => {
    const world = await createSimulation({ nodes: 3, requesterOnly: true, link: { latency: 5 }, settings: { retention: 600_000 } })
    const requester = world.node(0)
    const jobId = await requester.scheduler.submit(noopJob({ sharding: { count: 4 }, engine: { type: 'noop', duration: 3000, files: { '/out/a': 'x' } } }))
    await world.clock.advance(15)
    const image = requester.store.snapshot()
    await world.clock.advance(1500)
    requester.crash()
    await requester.restart(what === 'lost' ? 'empty' : image)
    if (what === 'rolled back') {
      expect(await world.finish(requester, jobId, 240_000)).toBe('completed')
      expect(doubles(requester, jobId)).toEqual([])
    }
    const more = await requester.scheduler.submit(noopJob({ sharding: { count: 4 } }))
    expect(await world.finish(requester, more, 120_000)).toBe('completed')
    await world.clock.advance(7_200_000)
    expect(quiet(world)).toEqual([])
    expect(world.errors).toEqual([])
  },
)
