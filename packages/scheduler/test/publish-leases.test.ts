import { describe, expect, test } from 'vitest'
import { createSimulation, type SimulatedNode, type Simulation, type SimulationOptions } from '../src/simulation/index.ts'
import { askBody, asker } from './asker.ts'
import { quiet, watchInvariants } from './invariants.ts'
import { noopJob } from './noop-job.ts'

const lease = 30_000
const heartbeat = 10_000
/** What the requester waits, and the node. */
const [longer, shorter] = [lease * 1.1, lease * 0.9]
/** Messages on their way, and the next attempt. */
const moment = 2000

interface Publishing {
  readonly world: Simulation
  readonly requester: SimulatedNode
  readonly jobId: string
  /** The node that publishes. */
  readonly node: SimulatedNode
  /** Each time that a publisher began: when, and where. */
  readonly begun: readonly { readonly at: number; readonly execution: string }[]
  /** The states of the executions that the requester awarded. */
  readonly states: () => readonly string[]
  /** Of all, once the job is over. */
  readonly outcomes: () => readonly (readonly [node: string | undefined, outcome: string])[]
  /** The job ends so, the laws held, and nothing is left. */
  readonly ends: (state: string) => Promise<void>
}

/** A job whose first publication takes this long, by the clock of the world, from the moment in which it has begun. */
const publishing = async (duration: number, options: Partial<SimulationOptions> = {}): Promise<Publishing> => {
  const world = await createSimulation({ nodes: 3, requesterOnly: true, link: { latency: 5 }, ...options, settings: { lease, heartbeat, ...options.settings } })
  const invariants = watchInvariants(world)
  const begun: { readonly at: number; readonly execution: string }[] = []
  world.interference.publish = async (execution, signal) => {
    begun.push({ at: world.clock.now(), execution })
    if (begun[0]?.execution === execution) await waitOf(world, duration, signal)
  }
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 100, files: { '/out/a': 'x' } }, retry: { backoff: 100 } }))
  while (begun.length === 0) await world.clock.next()
  const node = world.nodes.find((one) => one.publishing.size > 0)
  if (node === undefined) throw new Error('nobody publishes')
  return {
    world,
    requester,
    jobId,
    node,
    begun,
    states: () => requester.store.read((reader) => reader.list('execution', { limit: 9 })).map(({ state }) => state),
    outcomes: () => (requester.scheduler.result(jobId)?.shards[0]?.executions ?? []).map(({ node: where, outcome }) => [where, outcome] as const),
    ends: async (state) => {
      expect(await world.finish(requester, jobId, 1_000_000)).toBe(state)
      for (const one of world.nodes) if (!one.up) await one.restart()
      await world.clock.advance(7_200_000)
      invariants.checkAll()
      expect([quiet(world), world.errors]).toEqual([[], []])
      await world.stop()
    },
  }
}

const waitOf = (world: Simulation, ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const alarm = world.clock.at(world.clock.now() + ms, resolve)
    const abort = (): void => {
      alarm[Symbol.dispose]()
      reject(signal?.reason as Error)
    }
    signal?.addEventListener('abort', abort, { once: true })
  })

/** How long from now until the job's first execution is over. */
const untilOver = async ({ world, requester }: Publishing): Promise<number> => {
  const from = world.clock.now()
  while (requester.store.read((reader) => reader.list('execution', { open: false, limit: 1 })).length === 0) await world.clock.advance(100)
  return world.clock.now() - from
}

const cut = ({ world, node }: Publishing): void => world.network.partition([[node.id], world.nodes.filter((one) => one !== node).map(({ id }) => id)])

const firstFailure = ({ requester, jobId }: Publishing) => requester.scheduler.result(jobId)?.shards[0]?.executions[0]?.failure

const hanging = 10_000_000

test.each([0, 5000, 12_000, 95_000])(
  'a node that dies %i ms after it began to publish is found out by its lease, and the shard goes elsewhere',
  async (after) => {
    const course = await publishing(hanging)
    await course.world.clock.advance(after)
    course.node.crash()
    const waited = await untilOver(course)
    expect(waited).toBeLessThan(longer + moment)
    // Since it was last heard: a heartbeat before, at the most.
    expect(waited).toBeGreaterThan(longer - heartbeat - moment)
    await course.ends('completed')
    expect(firstFailure(course)).toEqual({ code: 'node-lost', detail: 'nothing was heard from it for longer than its lease, before it had published' })
    expect(course.outcomes()).toEqual([
      [course.node.id, 'lost'],
      [expect.not.stringContaining(course.node.id), 'completed'],
    ])
  },
)

test('a publication that takes longer than many leases goes on: heartbeats renew the lease', async () => {
  const course = await publishing(lease * 8)
  await course.ends('completed')
  expect(course.begun).toHaveLength(1)
  expect(course.outcomes()).toEqual([[course.node.id, 'completed']])
})

test('a publication that takes longer than it may is given up by its node, which says so', async () => {
  const course = await publishing(hanging, { settings: { publish: 200_000 } })
  const waited = await untilOver(course)
  expect(waited).toBeGreaterThan(200_000 * 0.9 - moment)
  expect(waited).toBeLessThan(200_000 * 0.9 + moment)
  await course.ends('completed')
  expect(course.outcomes()[0]).toEqual([course.node.id, 'failed'])
  expect(firstFailure(course)).toEqual({ code: 'publish-failed', detail: 'it took too long' })
})

describe('a partition while a node publishes', () => {
  test.each([5000, 16_000])('of %i ms, shorter than what is left of the lease: the publication goes on', async (length) => {
    const course = await publishing(lease * 3)
    await course.world.clock.advance(heartbeat * 2)
    cut(course)
    await course.world.clock.advance(length)
    course.world.network.heal()
    await course.ends('completed')
    expect(course.begun).toHaveLength(1)
    expect(course.outcomes()).toEqual([[course.node.id, 'completed']])
  })

  test('the node gives up after its own lease, before the requester does; and is not heard of any more', async () => {
    const course = await publishing(hanging)
    await course.world.clock.advance(heartbeat * 2)
    cut(course)
    const from = course.world.clock.now()
    while (course.node.publishing.size > 0) await course.world.clock.advance(50)
    expect(course.world.clock.now() - from).toBeLessThan(shorter + moment)
    expect(course.states()).toEqual(['accepted'])
    await course.world.clock.advance(longer)
    expect(course.states()).toContain('lost')
    course.world.network.heal()
    await course.ends('completed')
    expect(course.begun.filter(({ execution }) => execution === course.begun[0]?.execution)).toHaveLength(1)
  })

  // Around the moments in which the node, and then the requester, gives up: the laws are looked at after every event.
  test.each(Array.from({ length: 16 }, (_, index) => shorter - heartbeat - 1500 + index * 1500))('healed after %i ms: one result', async (length) => {
    const course = await publishing(lease * 2)
    await course.world.clock.advance(heartbeat * 2)
    cut(course)
    await course.world.clock.advance(length)
    course.world.network.heal()
    await course.ends('completed')
    expect(course.outcomes().filter(([, outcome]) => outcome === 'completed')).toHaveLength(1)
    expect(course.outcomes().length).toBeLessThan(3)
  })

  test('in one direction only: the node that hears nothing says that it gave up, and the shard goes elsewhere at once', async () => {
    const course = await publishing(hanging)
    await course.world.clock.advance(heartbeat * 2)
    course.world.network.block(course.requester.id, course.node.id)
    expect(await untilOver(course)).toBeLessThan(shorter + moment)
    course.world.network.heal()
    await course.ends('completed')
    expect(firstFailure(course)?.detail).toBe('it stopped the execution by itself, because its lease was over')
  })
})

describe('a node that restarts while it publishes', () => {
  test('takes it up again', async () => {
    const course = await publishing(5000)
    await course.world.clock.advance(1000)
    course.node.crash()
    await course.node.restart()
    await course.ends('completed')
    expect(course.begun.map(({ execution }) => execution)).toEqual([course.begun[0]?.execution, course.begun[0]?.execution])
    expect(course.outcomes()).toEqual([[course.node.id, 'completed']])
  })

  test('publishes nothing before its requester has answered it', async () => {
    const course = await publishing(5000)
    await course.world.clock.advance(1000)
    course.node.crash()
    course.world.network.block(course.requester.id, course.node.id)
    await course.node.restart()
    await course.world.clock.advance(lease / 2)
    expect(course.begun).toHaveLength(1)
    course.world.network.heal()
    await course.ends('completed')
    expect(course.begun).toHaveLength(2)
    expect(course.outcomes()).toEqual([[course.node.id, 'completed']])
  })

  test('and comes back when the shard is elsewhere publishes nothing', async () => {
    const course = await publishing(5000)
    course.node.crash()
    await course.world.clock.advance(longer * 2)
    await course.node.restart()
    await course.ends('completed')
    expect(course.begun.filter(({ execution }) => execution === course.begun[0]?.execution)).toHaveLength(1)
    expect(course.world.happened.filter(({ what, node }) => what === 'published' && node === course.node.id)).toEqual([])
  })

  test('and never hears from its requester again lets go after a lease', async () => {
    const course = await publishing(5000)
    course.requester.crash()
    course.node.crash()
    await course.node.restart()
    await course.world.clock.advance(shorter - moment)
    const stateOf = () => course.node.store.read((reader) => reader.list('compute', { limit: 2 })).map(({ state }) => state)
    expect(stateOf()).toEqual(['publishing'])
    await course.world.clock.advance(2 * moment)
    expect(stateOf()).toEqual(['done'])
    await course.requester.restart()
    await course.ends('completed')
  })
})

test('an outcome that waited for its requester for longer than a lease is published when that is back', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 }, settings: { lease, heartbeat } })
  const invariants = watchInvariants(world)
  const [requester, node] = [world.node(0), world.node(1)]
  const jobId = await requester.scheduler.submit(noopJob())
  while (node.running.size === 0) await world.clock.next()
  requester.crash()
  await world.clock.advance(lease * 4)
  // It ran to its end within its lease.
  expect(node.store.read((reader) => reader.list('compute', { limit: 2 })).map(({ state }) => state)).toEqual(['finished'])
  await requester.restart()
  expect(await world.finish(requester, jobId, 60_000)).toBe('completed')
  expect(requester.scheduler.result(jobId)?.shards[0]?.executions.map(({ outcome }) => outcome)).toEqual(['completed'])
  await world.clock.advance(7_200_000)
  invariants.checkAll()
  expect([quiet(world), world.errors]).toEqual([[], []])
  await world.stop()
})

test('a requester that gives no leases is waited for as long as publishing may take', async () => {
  const world = await createSimulation({ nodes: 1, settings: { lease, heartbeat } })
  const node = world.node(0)
  let isDone = false
  world.interference.publish = async (_id, signal) => {
    await waitOf(world, lease * 4, signal)
    isDone = true
  }
  const requester = await asker(world, 'contract')
  const body = askBody(0)
  await requester.send(node.id, [
    { type: 'ask', body: { ...body, terms: { ...body.terms, publishers: [{ type: 'ipfs' }], publish: lease * 10, retention: lease * 10 } } },
  ])
  await world.clock.advance(1000)
  const execution = requester.bids()[0]?.execution ?? ''
  await requester.send(node.id, [{ type: 'award', body: { askId: body.askId, execution } }])
  await world.clock.advance(1000)
  await requester.send(node.id, [{ type: 'verdict', body: { execution, round: 0, verdict: 'accepted', epoch: 1, act: 'publish', assurance: 'none' } }])
  await world.clock.advance(lease * 5)
  expect([isDone, requester.got.at(-1)?.type]).toEqual([true, 'published'])
  await world.stop()
})
