import { canonicalBytes, decodeCanonical, resolve, specCid, taskOf } from '@skrei/job-spec'
import { expect, test } from 'vitest'
import type { JobPlan } from '../src/index.ts'
import { createSimulation, type Simulation } from '../src/simulation/index.ts'
import { noopJob } from './noop-job.ts'

const planOf = async (world: Simulation, change: Parameters<typeof noopJob>[0] = {}, at = 0): Promise<JobPlan> => {
  const planning = world.node(at).scheduler.plan(noopJob(change))
  planning.catch(() => {})
  await world.clock.advance(60_000)
  return planning
}

const rowsOf = (world: Simulation): readonly number[] => world.nodes.map(({ store }) => store.commits)

test('a plan says who would run it, where the first shards go, and changes nothing anywhere', async () => {
  const world = await createSimulation({ nodes: 3, capacity: { cpu: 2000 } })
  const before = rowsOf(world)
  const plan = await planOf(world, {
    inputs: [{ path: '/in', source: { type: 'inline', text: '10' } }],
    sharding: { glob: '**', batchSize: 2 },
    resources: { cpu: 1000 },
  })
  expect(plan).toMatchObject({ outcome: 'runs', known: 3, input: { shards: 5, files: 10, bytes: 10 } })
  expect(plan.failure).toBeUndefined()
  expect(plan.nodes.map(({ answer }) => answer)).toEqual(['runs', 'runs', 'runs'])
  const best = plan.nodes.map(({ node }) => node)
  expect(plan.first).toEqual([0, 0, 1, 1, 2].map((at, index) => ({ index, node: best[at], waits: false })))
  expect(rowsOf(world)).toEqual(before)
  expect(world.happened).toEqual([])
  // The manifest is the one that the job gets.
  const jobId = await world
    .node(0)
    .scheduler.submit(
      noopJob({ inputs: [{ path: '/in', source: { type: 'inline', text: '10' } }], sharding: { glob: '**', batchSize: 2 }, resources: { cpu: 1000 } }),
    )
  expect(await world.finish(world.node(0), jobId)).toBe('completed')
  expect(world.node(0).scheduler.result(jobId)?.manifest).toBe(plan.input?.manifest)
  await world.stop()
})

test('a plan ranks the nodes that hold the inputs first, as the job does, and asks them in any case', async () => {
  const world = await createSimulation({ nodes: 4, requesterOnly: true })
  for (const holder of ['node-0003', 'node-0001', 'node-0002']) {
    world.interference.holders = [holder, 'nobody-knows-it']
    const plan = await planOf(world, { inputs: [{ path: '/in', source: { type: 'inline', text: '2' } }], sharding: { glob: '**', batchSize: 1 } })
    expect([plan.nodes.length, plan.nodes[0]?.node, plan.first[0]?.node]).toEqual([3, holder, holder])
  }
  await world.stop()
})

test('a plan says who would let it wait, and who never can, with numbers', async () => {
  const world = await createSimulation({ nodes: 2, capacity: { cpu: 2000 } })
  const running = await world.node(0).scheduler.submit(
    noopJob({
      engine: { type: 'noop', duration: 3_000_000, files: {} },
      sharding: { count: 2 },
      resources: { cpu: 2000 },
      timeouts: { execution: 4_000_000 },
    }),
  )
  await world.clock.advance(5000)
  const waits = await planOf(world, { sharding: { count: 3 }, resources: { cpu: 1000 } })
  expect(waits).toMatchObject({ outcome: 'waits', nodes: [{ answer: 'waits', refusals: [{ code: 'busy', wanted: 1000, available: 0 }] }, { answer: 'waits' }] })
  expect(waits.first.every((shard) => shard.waits)).toBe(true)
  const never = await planOf(world, { resources: { cpu: 64_000 } })
  expect(never).toMatchObject({
    outcome: 'no-node',
    failure: { code: 'no-node', detail: '0 of 2 nodes could run this: 2 have 2 of cpu in all, 64 asked (exceeds-node)' },
    nodes: [{ answer: 'never' }, { answer: 'never' }],
    first: [],
  })
  await world.node(0).scheduler.cancel(running)
  await world.stop()
})

test('a plan tells what is wrong with the input, and asks no node then', async () => {
  const world = await createSimulation({ nodes: 1 })
  const plan = await planOf(world, { inputs: [{ path: '/in', source: { type: 'inline', text: '10' } }], sharding: { glob: '*.nope' } })
  expect(plan).toMatchObject({ outcome: 'input-failed', failure: { code: 'no-input' }, nodes: [], first: [] })
  expect(plan.input).toBeUndefined()
  await expect(world.node(0).scheduler.plan(noopJob({ verification: { method: 'deterministic', replicas: 3 } }))).rejects.toMatchObject({
    code: 'not-enough-nodes',
  })
  await world.stop()
})

test('a node that does not answer is told apart, and holds a plan up for a bounded time', async () => {
  const world = await createSimulation({ nodes: 3 })
  world.node(2).crash()
  const plan = await planOf(world)
  expect(plan.outcome).toBe('runs')
  expect(plan.nodes.map(({ answer }) => answer)).toEqual(['runs', 'runs', 'unknown'])
  expect(plan.nodes.at(-1)?.node).toBe(world.node(2).id)
  await world.stop()
})

test('a plan can be given up', async () => {
  const world = await createSimulation({ nodes: 2 })
  const controller = new AbortController()
  const planning = world.node(0).scheduler.plan(noopJob(), { signal: controller.signal })
  controller.abort(new Error('enough'))
  await expect(planning).rejects.toThrow('enough')
  await world.stop()
})

test('a stranger gets a bounded share of assessments, and an answer to nonsense', async () => {
  const world = await createSimulation({ nodes: 1 })
  const stranger = world.network.join('stranger')
  await stranger.start()
  const ask = async (body: Uint8Array): Promise<unknown> => {
    const answering = (async () => {
      const chunks: Uint8Array[] = []
      for await (const chunk of stranger.query(world.node(0).id, 'skrei/assess/1', body, {})) chunks.push(chunk)
      return decodeCanonical(Buffer.concat(chunks))
    })()
    await world.clock.advance(1)
    return answering
  }
  const spec = noopJob()
  const resolved = resolve(spec)
  const wish = { task: taskOf(resolved, specCid(spec)), terms: { publishers: resolved.publishers, verification: 'none', constraints: [] }, files: [] }
  expect(await ask(Uint8Array.of(1, 2, 3))).toEqual({ unknown: 'invalid' })
  expect(await ask(canonicalBytes({ ...wish, more: 1 }))).toEqual({ unknown: 'invalid' })
  expect(await ask(canonicalBytes({ ...wish, files: Array(33).fill({ path: 'a', source: { type: 'inline', text: '' } }) }))).toEqual({ unknown: 'invalid' })
  expect(await ask(canonicalBytes(wish))).toMatchObject({ refusals: [], queued: 0 })
  const answers: unknown[] = []
  for (let asked = 0; asked < 40; asked++) answers.push(await ask(canonicalBytes(wish)))
  expect(answers.filter((answer) => typeof answer === 'object' && answer !== null && 'refusals' in answer)).toHaveLength(26)
  expect(answers.at(-1)).toEqual({ unknown: 'too-many' })
  await world.clock.advance(61_000)
  expect(await ask(canonicalBytes(wish))).toMatchObject({ refusals: [] })
  await world.stop()
})
