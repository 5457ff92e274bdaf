import { expect, test } from 'vitest'
import { createSimulation } from '../src/simulation/index.ts'
import { quiet, watchInvariants } from './invariants.ts'
import { noopJob } from './noop-job.ts'

test('a job with many shards runs on many nodes and every shard has one recorded result', async () => {
  const world = await createSimulation({ nodes: 5, link: { latency: 5, jitter: 10 } })
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

const settled = async (world: Awaited<ReturnType<typeof createSimulation>>): Promise<void> => {
  await world.clock.advance(7_200_000)
  expect(quiet(world)).toEqual([])
  expect(world.errors).toEqual([])
  await world.stop()
}

test('asks wait for room, hold nothing, and are served the moment capacity is free', async () => {
  const world = await createSimulation({ nodes: 1, capacity: { cpu: 1000 } })
  const invariants = watchInvariants(world)
  const requester = world.node(0)
  const begun = world.clock.now()
  const jobId = await requester.scheduler.submit(noopJob({ sharding: { count: 10 }, resources: { cpu: 500 } }))
  expect(await world.finish(requester, jobId)).toBe('completed')
  // Ten shards of a second each, two at a time.
  expect(world.clock.now() - begun).toBeLessThan(5500)
  invariants.checkAll()
  await settled(world)
})

test('a node that is lost is found out by its lease, and the shard runs elsewhere', async () => {
  const world = await createSimulation({ nodes: 3, requesterOnly: true })
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 60_000 } }))
  await world.clock.advance(5000)
  const victim = world.nodes.find(({ running }) => running.size > 0)
  victim?.crash()
  expect(await world.finish(requester, jobId)).toBe('completed')
  const [shard] = requester.scheduler.result(jobId)?.shards ?? []
  expect(shard?.executions.map(({ outcome, failure }) => [outcome, failure?.code])).toEqual([
    ['lost', 'node-lost'],
    ['completed', undefined],
  ])
  expect(shard?.executions[0]?.node).toBe(victim?.id)
  expect(shard?.node).not.toBe(victim?.id)
  await victim?.restart()
  await settled(world)
})

test('a requester that restarts goes on where it was: nothing is lost and nothing recorded twice', async () => {
  const world = await createSimulation({ nodes: 3 })
  const invariants = watchInvariants(world)
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit(noopJob({ sharding: { count: 12 }, engine: { type: 'noop', duration: 2500 } }))
  await world.clock.advance(1000)
  requester.crash()
  await world.clock.advance(2000)
  await requester.restart()
  expect(await world.finish(requester, jobId)).toBe('completed')
  invariants.checkAll()
  await settled(world)
})

test('a cancelled job is cancelled once everything of it is stopped, at whatever moment', async () => {
  for (let delay = 0; delay < 1400; delay += 70) {
    const world = await createSimulation({ nodes: 2, link: { latency: 20 } })
    const requester = world.node(0)
    const jobId = await requester.scheduler.submit(noopJob({ sharding: { count: 4 } }))
    await world.clock.advance(delay)
    // Once every shard is done, there is nothing left to cancel.
    const tooLate = ['composing', 'completed'].includes(requester.scheduler.job(jobId)?.state ?? '')
    await requester.scheduler.cancel(jobId)
    expect(await world.finish(requester, jobId)).toBe(tooLate ? 'completed' : 'cancelled')
    expect(world.nodes.flatMap(({ running }) => [...running.keys()])).toEqual([])
    await settled(world)
  }
})

test('what the job does wrong is not tried again, and the first such failure stops the rest', async () => {
  const world = await createSimulation({ nodes: 2, capacity: { cpu: 500 } })
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit(noopJob({ sharding: { count: 20 }, engine: { type: 'noop', duration: 1000, exit: 7 } }))
  expect(await world.finish(requester, jobId)).toBe('failed')
  const job = requester.scheduler.job(jobId)
  expect(job?.failure).toMatchObject({ code: 'exit-nonzero', detail: expect.stringContaining('exit code 7') })
  expect(job?.shards?.failed).toBeLessThanOrEqual(2)
  expect(requester.scheduler.result(jobId)?.shards.every(({ executions }) => executions.length <= 1)).toBe(true)
  await settled(world)
})

test('best effort goes on until too many shards failed', async () => {
  const world = await createSimulation({ nodes: 2 })
  const requester = world.node(0)
  const failing = noopJob({ sharding: { count: 6 }, engine: { type: 'noop', exit: 1 }, partial: { policy: 'best-effort', tolerate: 6 } })
  const tolerant = await requester.scheduler.submit(failing)
  const strict = await requester.scheduler.submit({ ...failing, partial: { policy: 'best-effort', tolerate: 5 } })
  expect(await world.finish(requester, tolerant)).toBe('completed')
  expect(requester.scheduler.job(tolerant)?.shards).toMatchObject({ failed: 6, completed: 0 })
  expect(await world.finish(requester, strict)).toBe('failed')
  await settled(world)
})

test('a job that nobody could ever run fails at once and says why, per reason', async () => {
  const world = await createSimulation({ nodes: 4, requesterOnly: true, engines: (index) => (index === 1 ? ['other'] : ['noop']) })
  const requester = world.node(0)
  // Long enough here to have heard of everybody.
  await world.clock.advance(30_000)
  const jobId = await requester.scheduler.submit(noopJob({ resources: { memory: 2 ** 40 } }))
  expect(await world.finish(requester, jobId, 1000)).toBe('failed')
  expect(requester.scheduler.job(jobId)?.failure).toEqual({
    code: 'no-node',
    detail: '0 of 3 nodes could run this: 3 have 8 GiB of memory in all, 1 TiB asked (exceeds-node); 1 has no engine noop (engine-unavailable)',
  })
  await settled(world)
})

test('a job waits for room until timeouts.queue, then fails with what the nodes said', async () => {
  const world = await createSimulation({ nodes: 1, capacity: { cpu: 1000 } })
  const requester = world.node(0)
  const long = await requester.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 600_000 }, resources: { cpu: 1000 } }))
  await world.clock.advance(100)
  const short = await requester.scheduler.submit(noopJob({ timeouts: { queue: 20_000 } }))
  const begun = world.clock.now()
  expect(await world.finish(requester, short)).toBe('failed')
  expect(world.clock.now() - begun).toBeLessThan(25_000)
  expect(requester.scheduler.job(short)?.failure?.code).toBe('queue-timeout')
  await requester.scheduler.cancel(long)
  await world.finish(requester, long)
  await settled(world)
})

test('the total time of a job is a limit: what runs is stopped', async () => {
  const world = await createSimulation({ nodes: 2 })
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 500_000 }, sharding: { count: 3 }, timeouts: { total: 10_000 } }))
  expect(await world.finish(requester, jobId, 15_000)).toBe('failed')
  expect(requester.scheduler.job(jobId)?.failure).toEqual({ code: 'deadline', detail: '0 of 3 shards were done by then' })
  expect(requester.scheduler.result(jobId)).toMatchObject({
    state: 'failed',
    counts: { total: 3, completed: 0, cancelled: 3 },
    limits: { stdout: 2 ** 20, stderr: 2 ** 20 },
  })
  await settled(world)
})

test('a job whose verification needs more nodes than there are is not accepted', async () => {
  const world = await createSimulation({ nodes: 1 })
  await expect(world.node(0).scheduler.submit(noopJob({ verification: { method: 'deterministic', replicas: 3 } }))).rejects.toMatchObject({
    code: 'not-enough-nodes',
    message: expect.stringContaining('3 different nodes'),
  })
  await expect(world.node(0).scheduler.submit(noopJob({ verification: { method: 'deterministic', replicas: 1 } }))).rejects.toMatchObject({ code: 'not-built' })
  await settled(world)
})

test('the same seed gives the same history', async () => {
  const history = async (): Promise<readonly string[]> => {
    const world = await createSimulation({ nodes: 4, seed: 9, link: { latency: 10, jitter: 30, loss: 0.1, duplication: 0.1 } })
    const jobId = await world.node(0).scheduler.submit(noopJob({ sharding: { count: 10 } }))
    await world.finish(world.node(0), jobId)
    const events = world.events.map((event) =>
      event.type === 'transition'
        ? `${event.transition.at} ${event.transition.kind} ${event.transition.id} ${event.transition.to}`
        : event.type === 'progress'
          ? `${event.job} ${event.phase}`
          : event.type,
    )
    await world.stop()
    return events
  }
  expect(await history()).toEqual(await history())
})

test('a list of files too long for an ask is queried by the nodes that were asked, and by nobody else', async () => {
  const world = await createSimulation({ nodes: 3, requesterOnly: true })
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit(
    noopJob({
      inputs: [{ source: { type: 'inline', text: '300' }, path: '/in' }],
      sharding: { glob: '*.csv', batchSize: 150 },
      engine: { type: 'noop', duration: 5000 },
    }),
  )
  await world.clock.advance(1000)
  expect(world.nodes.reduce((sum, { running }) => sum + running.size, 0)).toBe(2)
  const stranger = world.network.join('stranger')
  await stranger.start()
  const answer: Uint8Array[] = []
  const asking = (async () => {
    for await (const chunk of stranger.query(requester.id, 'skrei/manifest/1', new TextEncoder().encode(JSON.stringify({ job: jobId, index: 0 })), {}))
      answer.push(chunk)
  })()
  await world.clock.advance(100)
  await asking
  expect(answer).toEqual([])
  expect(await world.finish(requester, jobId)).toBe('completed')
  expect(requester.scheduler.result(jobId)?.shards.map(({ usage }) => usage?.inputBytes)).toEqual([150, 150])
  await settled(world)
})
