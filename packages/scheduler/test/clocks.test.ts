import { describe, expect, test } from 'vitest'
import { createSimulation, type SimulatedNode, type Simulation, type SimulationOptions } from '../src/simulation/index.ts'
import { quiet, watchInvariants } from './invariants.ts'
import { noopJob } from './noop-job.ts'

const hour = 3_600_000

/** Every lost execution, and whether its node was still running it then (invariant 11). */
const watchLosses = (world: Simulation) => {
  const lost: string[] = []
  const early: string[] = []
  const before = world.onEvent
  world.onEvent = (node, event) => {
    before(node, event)
    if (event.type !== 'transition' || event.transition.kind !== 'execution' || event.transition.to !== 'lost') return
    lost.push(event.transition.id)
    if (world.nodes.some(({ up, running }) => up && running.has(event.transition.id))) early.push(event.transition.id)
  }
  return { lost, early }
}

const pair = (options: Partial<SimulationOptions> = {}): Promise<Simulation> =>
  createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 }, settings: { lease: 3000, heartbeat: 1000 }, ...options })

/** Moves on until an object of a kind at a node is in a state. */
const reach = async (world: Simulation, node: SimulatedNode, kind: string, state: string): Promise<void> => {
  for (let steps = 0; steps < 20_000; steps++) {
    if (node.store.read((reader) => reader.list(kind, { state, limit: 1 })).length > 0) return
    if (!(await world.clock.next())) break
  }
  throw new Error(`no ${kind} came to ${state}`)
}

/** Slow enough in every phase to be caught there. */
const slow = (world: Simulation): void => {
  const wait = (ms: number): Promise<void> => new Promise((resolve) => void world.clock.at(world.clock.now() + ms, resolve))
  world.interference.stage = () => wait(1500)
  world.interference.publish = () => wait(1500)
}

const phases: readonly (readonly [side: number, kind: string, state: string])[] = [
  [0, 'shard', 'placing'],
  [0, 'execution', 'awarding'],
  [1, 'compute', 'reserved'],
  [1, 'compute', 'staging'],
  [1, 'compute', 'running'],
  [1, 'compute', 'finished'],
  [1, 'compute', 'publishing'],
  [1, 'compute', 'published'],
  [0, 'execution', 'accepted'],
]

describe.each([hour, -hour])('the time of day is set by %i ms on one side', (jump) => {
  test.each(phases.flatMap((phase) => [0, 1].map((at) => [...phase, at] as const)))(
    'while node %i has a %s in %s, on node %i: nobody is lost, nothing is cut, no attempt is spent',
    async (side, kind, state, at) => {
      const world = await pair()
      slow(world)
      const invariants = watchInvariants(world)
      const { lost } = watchLosses(world)
      const requester = world.node(0)
      const input = { source: { type: 'inline', text: 'x' }, path: '/in' } as const
      const jobId = await requester.scheduler.submit(noopJob({ inputs: [input], engine: { type: 'noop', duration: 4000, files: { '/out/a': 'x' } } }))
      await reach(world, world.node(side), kind, state)
      world.node(at).clock.jump(jump)
      const from = world.clock.now()
      expect(await world.finish(requester, jobId, 60_000)).toBe('completed')
      expect(world.clock.now() - from).toBeLessThan(15_000)
      expect(requester.scheduler.result(jobId)?.shards[0]?.executions.map(({ outcome }) => outcome)).toEqual(['completed'])
      expect(lost).toEqual([])
      await world.clock.advance(2 * hour)
      invariants.checkAll()
      expect([quiet(world), world.errors]).toEqual([[], []])
      await world.stop()
    },
  )

  test('a node that is gone is still found out, within a lease and the one that peers are given', async () => {
    const world = await pair({ nodes: 3 })
    const requester = world.node(0)
    const jobId = await requester.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 2000, files: { '/out/a': 'x' } } }))
    await world.clock.advance(1000)
    const gone = world.nodes.slice(1).find(({ running }) => running.size > 0)
    requester.clock.jump(jump)
    gone?.crash()
    const from = world.clock.now()
    expect(await world.finish(requester, jobId, 60_000)).toBe('completed')
    expect(world.clock.now() - from).toBeLessThan(15_000)
  })

  test('the limits of the job are kept, by the time that has passed, over a restart as well', async () => {
    const world = await pair()
    const requester = world.node(0)
    const jobId = await requester.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 600_000 }, timeouts: { total: 60_000, execution: 600_000 } }))
    await world.clock.advance(10_000)
    requester.clock.jump(jump)
    await world.clock.advance(1000)
    requester.crash()
    await requester.restart()
    await world.clock.advance(40_000)
    expect(requester.scheduler.job(jobId)?.state).toBe('running')
    await world.clock.advance(30_000)
    expect([requester.scheduler.job(jobId)?.state, requester.scheduler.job(jobId)?.failure?.code]).toEqual(['failed', 'deadline'])
  })

  test('a node whose time of day was set goes on to be known, and to know', async () => {
    const world = await pair({ nodes: 3 })
    world.node(0).clock.jump(jump)
    world.node(1).clock.jump(jump)
    await world.clock.advance(600_000)
    expect(world.nodes.map(({ scheduler }) => scheduler.nodes().length)).toEqual([2, 2, 2])
  })
})

test('a requester that was away for longer than every limit hears its nodes before it judges them', async () => {
  const world = await pair({ nodes: 4, settings: { lease: 30_000, heartbeat: 10_000, publish: 20_000 } })
  const { early } = watchLosses(world)
  const requester = world.node(0)
  slow(world)
  const jobId = await requester.scheduler.submit(noopJob())
  while (!world.nodes.some(({ store }) => store.read((reader) => reader.list('compute', { state: 'publishing', limit: 1 })).length > 0))
    await world.clock.next()
  requester.crash()
  await world.clock.advance(120_000)
  await requester.restart()
  expect(await world.finish(requester, jobId)).toBe('completed')
  const outcomes = requester.scheduler.result(jobId)?.shards.flatMap(({ executions }) => executions.map(({ outcome }) => outcome))
  expect(outcomes).toEqual(['completed'])
  expect(early).toEqual([])
})

test.each([
  [1.1, 0.9],
  [0.9, 1.1],
])(
  'clocks that run ten per cent apart (requester %d, nodes %d): no lease is cut while both live, and none is lost before its node has stopped it',
  async (mine, theirs) => {
    for (let seed = 1; seed <= 8; seed++) {
      const world = await pair({ nodes: 3, seed, rate: (index) => (index === 0 ? mine : theirs), settings: { lease: 30_000, heartbeat: 10_000 } })
      const { lost, early } = watchLosses(world)
      const requester = world.node(0)
      const jobId = await requester.scheduler.submit(noopJob({ sharding: { count: 4 }, engine: { type: 'noop', duration: 100_000, files: { '/out/a': 'x' } } }))
      await world.clock.advance(60_000 + seed * 1300)
      expect(lost).toEqual([])
      world.network.partition([[requester.id], world.nodes.slice(1).map(({ id }) => id)])
      await world.clock.advance(90_000)
      expect(lost.length).toBeGreaterThan(0)
      expect(early).toEqual([])
      world.network.heal()
      expect(await world.finish(requester, jobId)).toBe('completed')
      expect(early).toEqual([])
      await world.stop()
    }
  },
)
