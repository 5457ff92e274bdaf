import { expect, test } from 'vitest'
import { createSimulation, type SimulatedNode, type Simulation } from '../src/simulation/index.ts'
import { quiet, watchInvariants } from './invariants.ts'
import { noopJob } from './noop-job.ts'
import { unperformed } from './quiet.ts'

const lasting = (seconds: number) => noopJob({ engine: { type: 'noop', duration: seconds * 1000, files: { '/out/a': 'x' } }, resources: { cpu: 1000 } })

/** What it has that is not over, by state. */
const states = (node: SimulatedNode): Readonly<Record<string, number>> => {
  const counts: Record<string, number> = {}
  for (const { state } of node.scheduler.executions({ limit: 1000, open: true })) counts[state] = (counts[state] ?? 0) + 1
  return counts
}

/** Bids and what came of them. */
const held = (node: SimulatedNode): number => ['reserved', 'staging', 'running'].reduce((sum, state) => sum + (states(node)[state] ?? 0), 0)

const ending = (promise: Promise<void>): { how: unknown } => {
  const seen: { how: unknown } = { how: 'open' }
  promise.then(
    () => {
      seen.how = 'drained'
    },
    (error: unknown) => {
      seen.how = error
    },
  )
  return seen
}

const turns = async (world: Simulation, milliseconds: number): Promise<void> => {
  await world.clock.advance(milliseconds)
  await new Promise((resolve) => setImmediate(resolve))
}

test('a node that is drained ends what it runs, loses nothing, takes nothing, and what waited there is taken by others', async () => {
  const world = await createSimulation({ nodes: 3, requesterOnly: true, link: { latency: 5 }, absent: (index) => index === 2, capacity: { cpu: 4000 } })
  const invariants = watchInvariants(world)
  const [requester, node, other] = [world.node(0), world.node(1), world.node(2)]
  const jobId = await requester.scheduler.submit({ ...lasting(30), sharding: { count: 10 }, timeouts: { queue: 3_600_000 } })
  await turns(world, 10_000)
  expect(states(node)).toMatchObject({ running: 4 })
  expect(states(node)['queued']).toBeGreaterThan(0)
  other.crash()
  await other.restart()
  const drained = ending(node.scheduler.drain())
  await turns(world, 1000)
  expect(states(node)).toEqual({ running: 4 })
  expect(node.scheduler.standing()).toMatchObject({ draining: true, executions: 4, queued: 0 })
  expect(requester.scheduler.nodes().find((one) => one.node === node.id)?.free).toEqual({ cpu: 0, memory: 0, disk: 0 })
  await turns(world, 10_000)
  expect(states(node)).toEqual({ running: 4 })
  expect(states(other)).toMatchObject({ running: 4 })
  expect(drained.how).toBe('open')
  await turns(world, 15_000)
  expect(drained.how).toBe('drained')
  expect([states(node), node.running.size, node.files.size]).toEqual([{}, 0, 0])
  const stopped = node.scheduler.stop()
  await turns(world, 1)
  await stopped
  expect(await world.finish(requester, jobId)).toBe('completed')
  const shards = requester.scheduler.shards(jobId)
  expect(shards.flatMap(({ executions }) => executions.map(({ outcome }) => outcome))).toEqual(Array.from({ length: 10 }, () => 'completed'))
  expect(shards.filter(({ node: by }) => by === node.id)).toHaveLength(4)
  const declined = node.scheduler.executions({ limit: 1000 }).filter(({ state }) => state === 'declined')
  expect(
    declined.some(({ id }) => node.scheduler.executionHistory(id).some((item) => item.event === 'drain' && 'from' in item && item.from === 'queued')),
  ).toBe(true)
  invariants.checkAll()
  expect(world.errors).toEqual([])
})

test('whatever asks are on their way when a node begins to drain, none of them waits, and none gets a bid', async () => {
  for (let at = 10; at <= 60; at += 10) {
    const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5, jitter: 20 }, seed: at })
    const [requester, node] = [world.node(0), world.node(1)]
    const jobId = await requester.scheduler.submit({ ...lasting(5), sharding: { count: 20 } })
    await world.clock.advance(at)
    const bids = held(node)
    const drained = ending(node.scheduler.drain())
    await turns(world, 0)
    const { assessing = 0, queued = 0 } = states(node)
    expect([held(node) <= bids, assessing, queued]).toEqual([true, 0, 0])
    await turns(world, 15_000)
    expect([drained.how, states(node)]).toEqual(['drained', {}])
    await requester.scheduler.cancel(jobId)
    expect(await world.finish(requester, jobId)).toBe('cancelled')
    expect(world.errors).toEqual([])
    await world.stop()
  }
})

test('a bid that was made stands: whoever awards it in time has it run', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 200 } })
  const [requester, node] = [world.node(0), world.node(1)]
  const jobId = await requester.scheduler.submit(lasting(5))
  while (states(node)['reserved'] !== 1) await world.clock.advance(10)
  const drained = ending(node.scheduler.drain())
  await turns(world, 3000)
  expect([states(node), drained.how]).toEqual([{ running: 1 }, 'open'])
  expect(await world.finish(requester, jobId)).toBe('completed')
  await turns(world, 5000)
  expect(drained.how).toBe('drained')
  await world.stop()
})

test('a node is drained once what it has to say has reached those that are there', async () => {
  const world = await createSimulation({ nodes: 3, requesterOnly: true, link: { latency: 200 } })
  const [requester, node, away] = [world.node(0), world.node(1), world.node(2)]
  const jobId = await requester.scheduler.submit({ ...lasting(60), sharding: { count: 8 } })
  while (states(node)['running'] !== 4 || states(away)['running'] !== 4) await world.clock.advance(100)
  const drained = [node, away].map((one) => ending(one.scheduler.drain()))
  await requester.scheduler.cancel(jobId)
  const cut = (): void => world.network.partition([[away.id], [requester.id, node.id]])
  while (states(away)['running'] === 4) await world.clock.next()
  cut()
  while (drained.some(({ how }) => how === 'open')) await turns(world, 1)
  expect(drained.map(({ how }) => how)).toEqual(['drained', 'drained'])
  const stopped = [node.scheduler.stop(), away.scheduler.stop()]
  await turns(world, 1)
  await Promise.all(stopped)
  expect([unperformed(node).length, unperformed(away).length]).toEqual([0, 4])
  world.network.heal()
})

test('a node that drains takes no job but those that it has under their keys, and goes on with its own', async () => {
  const world = await createSimulation({ nodes: 2 })
  const [node, other] = [world.node(0), world.node(1)]
  const jobId = await node.scheduler.submit(lasting(20), { key: 'mine' })
  await turns(world, 3000)
  const drained = ending(node.scheduler.drain())
  await expect(node.scheduler.submit(lasting(1))).rejects.toMatchObject({ name: 'SubmitError', code: 'draining' })
  await expect(node.scheduler.submit(lasting(1), { key: 'new' })).rejects.toMatchObject({ code: 'draining' })
  expect(await node.scheduler.submit(lasting(20), { key: 'mine' })).toBe(jobId)
  const plan = await other.scheduler.plan(lasting(1)).catch((error: unknown) => error)
  expect(JSON.stringify(plan)).toContain('draining')
  const elsewhere = await other.scheduler.submit({ ...lasting(1), sharding: { count: 3 } })
  expect(await world.finish(other, elsewhere)).toBe('completed')
  expect(other.scheduler.shards(elsewhere).map((shard) => shard.node)).toEqual([other.id, other.id, other.id])
  expect(await world.finish(node, jobId)).toBe('completed')
  await turns(world, 1000)
  expect(drained.how).toBe('drained')
  node.crash()
  await node.restart()
  expect(await world.finish(node, await node.scheduler.submit(lasting(1)))).toBe('completed')
  await world.clock.advance(7_200_000)
  expect(quiet(world)).toEqual([])
  await world.stop()
})

test('waiting for a node to be drained ends with its signal, and with the node', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true })
  const node = world.node(1)
  await world.node(0).scheduler.submit(lasting(3600))
  await turns(world, 3000)
  const patience = new AbortController()
  const [first, second] = [ending(node.scheduler.drain({ signal: patience.signal })), ending(node.scheduler.drain())]
  await turns(world, 1000)
  const reason = new Error('long enough')
  patience.abort(reason)
  await turns(world, 1)
  expect([first.how, second.how, states(node)]).toEqual([reason, 'open', { running: 1 }])
  await expect(node.scheduler.drain({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  await world.stop()
  expect(second.how).toMatchObject({ name: 'SchedulerError', code: 'stopped' })
  await expect(node.scheduler.drain()).rejects.toMatchObject({ code: 'stopped' })
})

test('what is done and kept for a requester that is not heard from any more is not waited for, and is told apart from what runs', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true })
  const [requester, node] = [world.node(0), world.node(1)]
  await requester.scheduler.submit(lasting(12))
  await turns(world, 3000)
  expect(node.scheduler.standing()).toMatchObject({ executions: 1, kept: 0 })
  await turns(world, 8000)
  requester.crash()
  const drained = ending(node.scheduler.drain())
  await turns(world, 200)
  expect([states(node), drained.how]).toEqual([{ running: 1 }, 'open'])
  await turns(world, 1200)
  expect([states(node), drained.how]).toEqual([{ finished: 1 }, 'open'])
  expect(node.scheduler.standing()).toMatchObject({ executions: 0, kept: 1 })
  // It may only be starting again.
  await turns(world, 2 * world.settings.heartbeat)
  expect([states(node), drained.how]).toEqual([{ finished: 1 }, 'drained'])
  await world.stop()
})

test('what is done and kept for a requester that comes back is published before the node is drained', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true })
  const [requester, node] = [world.node(0), world.node(1)]
  const jobId = await requester.scheduler.submit(lasting(12))
  await turns(world, 11_000)
  requester.crash()
  const drained = ending(node.scheduler.drain())
  await turns(world, 1400)
  expect([states(node), drained.how]).toEqual([{ finished: 1 }, 'open'])
  await requester.restart()
  expect(await world.finish(requester, jobId)).toBe('completed')
  await turns(world, 1000)
  expect([states(node), drained.how]).toEqual([{}, 'drained'])
  expect(requester.scheduler.shards(jobId).flatMap(({ executions }) => executions.map(({ outcome }) => outcome))).toEqual(['completed'])
  await world.stop()
})

test('a node without the compute role, or without work, is drained at once', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true })
  await world.node(0).scheduler.drain()
  await world.node(1).scheduler.drain()
  await world.stop()
})
