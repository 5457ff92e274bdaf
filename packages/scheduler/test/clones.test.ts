import type { Transport } from '@skrei/transport'
import { expect, test } from 'vitest'
import { createSimulation, type SimulatedNode, type Simulation } from '../src/simulation/index.ts'
import { quiet, watchInvariants } from './invariants.ts'
import { noopJob } from './noop-job.ts'

const [mine, twin] = ['node-0001', 'node-0002']

/** Node 2 is to be a clone of node 1: what it says comes from node 1, and what is for node 1 reaches one of the two, in turns. */
const withTwin = async (): Promise<Simulation & { readonly alerts: string[] }> => {
  let turn = 0
  const alerts: string[] = []
  const real = (from: string): string => (from === twin ? mine : from)
  const route = (to: string, self: string): string => (to === mine && self !== mine && self !== twin && world.node(2).up && turn++ % 2 === 1 ? twin : to)
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

const clone = async (world: Simulation): Promise<void> => {
  const image = world.node(1).store.snapshot()
  world.node(2).crash()
  await world.node(2).restart(image)
}

/** Shards with more than one execution that was completed, and results that are of none. */
const doubles = (requester: SimulatedNode, jobId: string): readonly unknown[] =>
  (requester.scheduler.result(jobId)?.shards ?? []).filter(({ executions }) => executions.filter(({ outcome }) => outcome === 'completed').length > 1)

// A quarter of a lease, which it takes to find out, before the executions end: there is something left to say.
test.each([200, 1200, 2000])('a store cloned onto a second live node after %i ms: peers find it out, both are told, nothing is recorded twice', async (at) => {
  const world = await withTwin()
  const invariants = watchInvariants(world)
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit(
    noopJob({ sharding: { count: 6 }, engine: { type: 'noop', duration: 3000, files: { '/out/a': 'x' } }, retry: { attempts: 20 } }),
  )
  await world.clock.advance(at)
  await clone(world)
  await world.clock.advance(60_000)
  // The requester has seen two that live, and both of them have heard of each other.
  expect(world.alerts.filter((alert) => alert.startsWith('node-0000: two nodes live with one key'))).not.toEqual([])
  expect(world.alerts.filter((alert) => alert.startsWith('node-0001: a peer refused a message'))).not.toEqual([])
  expect(world.errors.filter((error) => error.includes('another node lives with the key of this one'))).toHaveLength(world.errors.length)
  expect(new Set(world.errors.map((error) => error.slice(0, 9)))).toEqual(new Set([mine, twin]))
  expect(await world.finish(requester, jobId)).toBe('completed')
  expect(doubles(requester, jobId)).toEqual([])
  await world.clock.advance(7_200_000)
  invariants.checkAll()
  expect(quiet(world)).toEqual([])
})

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
