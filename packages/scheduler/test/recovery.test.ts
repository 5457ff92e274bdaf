import { encodeMessage } from '@skrei/protocol'
import { expect, test } from 'vitest'
import { createSimulation } from '../src/simulation/index.ts'
import { quiet } from './invariants.ts'
import { noopJob } from './noop-job.ts'

const sign = () => new Uint8Array(64)

test('one poison message does not cost an effect its result (nor the process)', async () => {
  const unhandled: string[] = []
  const listener = (error: unknown): void => void unhandled.push(String(error))
  const before = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection')
  process.on('unhandledRejection', listener)
  try {
    const world = await createSimulation({ nodes: 1 })
    const node = world.node(0)
    const transport = world.network.join('evil')
    await transport.start()
    let go = (): void => {}
    world.interference.publish = () =>
      new Promise((resolve) => {
        go = resolve
      })
    const job = await node.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 50, files: {} }, retry: { attempts: 1 } }))
    await world.clock.advance(3000)
    const frames = Array.from({ length: 60 }, (_, i) =>
      encodeMessage(
        {
          network: 'test',
          from: 'evil',
          to: node.id,
          incarnation: { counter: 1, id: '1'.repeat(16) },
          type: 'bid',
          body: { askId: 'x', execution: `y${i}`, ttl: 1 },
        } as never,
        sign,
      ),
    )
    // The node's own effect ends in the moment in which the messages come.
    go()
    for (const frame of frames) {
      void transport.send(node.id, [frame], {}).catch(() => {})
      await Promise.resolve()
    }
    await world.clock.advance(100)
    await new Promise((resolve) => setImmediate(resolve))
    expect(unhandled).toEqual([])
    expect(await world.finish(node, job, 60_000)).toBe('completed')
  } finally {
    process.removeAllListeners('unhandledRejection')
    for (const each of before) process.on('unhandledRejection', each as never)
  }
})

test('what a completed shard published is not withdrawn because the requester was away for a lease', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 } })
  const [requester, node] = [world.node(0), world.node(1)]
  let crashed = false
  world.onEvent = (at, event) => {
    if (at === requester && event.type === 'transition' && event.transition.kind === 'execution' && event.transition.to === 'completed') crashed = true
  }
  const job = await requester.scheduler.submit(noopJob())
  while (!crashed) await world.clock.next()
  requester.crash()
  await world.clock.advance(20_000)
  await requester.restart()
  expect(await world.finish(requester, job)).toBe('completed')
  await world.clock.advance(60_000)
  expect(node.running.size).toBe(0)
  expect(world.happened.map(({ what }) => what)).not.toContain('unpublished')
})

test('the same with a partition between the two', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 } })
  const [requester, node] = [world.node(0), world.node(1)]
  let done = false
  world.onEvent = (at, event) => {
    if (at === requester && event.type === 'transition' && event.transition.kind === 'execution' && event.transition.to === 'completed') done = true
  }
  const job = await requester.scheduler.submit(noopJob())
  while (!done) await world.clock.next()
  world.network.block(requester.id, node.id)
  await world.clock.advance(20_000)
  world.network.heal()
  expect(await world.finish(requester, job)).toBe('completed')
  await world.clock.advance(60_000)
  expect(world.happened.map(({ what }) => what)).not.toContain('unpublished')
})

test.each(['completed', 'failed'] as const)(
  'a node that is away for many leases when its execution has %s lets go of it as soon as it is back',
  async (outcome) => {
    const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 } })
    const [requester, node] = [world.node(0), world.node(1)]
    let over = false
    world.onEvent = (at, event) => {
      if (at === requester && event.type === 'transition' && event.transition.kind === 'execution' && event.transition.to === outcome) over = true
    }
    // Long enough for the node to know that the requester has heard of its publication: it does not say so again.
    world.interference.fetch = () => new Promise((resolve) => void world.clock.at(world.clock.now() + 1000, resolve))
    if (outcome === 'failed') world.interference.alter = (_id, content) => ({ ...content, 'outputs/out/a': 'another' })
    const job = await requester.scheduler.submit(noopJob({ retry: { attempts: 1 } }))
    while (!over) await world.clock.next()
    node.crash()
    expect(await world.finish(requester, job)).toBe(outcome)
    await world.clock.advance(600_000)
    await node.restart()
    // Less than the pause between two attempts to reach it: it was heard.
    await world.clock.advance(500)
    expect(quiet(world)).toEqual([])
    expect(requester.scheduler.standing().unsent).toBe(0)
    expect(world.happened.some(({ what }) => what === 'unpublished')).toBe(outcome === 'failed')
  },
)

test('a publisher that hangs does not hold disk and queue clean-ups for ever', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true })
  world.interference.publish = (_id, signal) => new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new Error('aborted'))))
  const [requester, node] = [world.node(0), world.node(1)]
  const job = await requester.scheduler.submit(noopJob({ retry: { attempts: 1 } }))
  await world.finish(requester, job)
  await world.clock.advance(7_200_000)
  expect(quiet(world)).toEqual([])
  expect(node.store.read((r) => r.pending(0, 100)).length).toBe(0)
})

test('what was published by an execution that failed at the requester is withdrawn', async () => {
  // Publishing takes longer than the requester waits for it: the node is within its own limit counted from the verdict.
  const world = await createSimulation({ nodes: 2, requesterOnly: true, settings: { publish: 10_000, lease: 60_000 }, link: { latency: 5 } })
  const [requester, node] = [world.node(0), world.node(1)]
  const job = await requester.scheduler.submit(noopJob({ retry: { attempts: 1 } }))
  let published = false
  world.interference.publish = () => {
    published = true
    world.network.block(node.id, requester.id)
    return Promise.resolve()
  }
  while (!published) await world.clock.next()
  // Only messages of the node are lost, for longer than `publish`; shorter than its lease would be no loss at all, so heartbeats stop mattering: the requester waits for `accepted`.
  await world.clock.advance(11_500)
  world.network.heal()
  expect(await world.finish(requester, job)).toBe('failed')
  await world.clock.advance(60_000)
  expect(world.happened.filter(({ what }) => what === 'unpublished' || what === 'published').map(({ what }) => what)).toEqual(['published', 'unpublished'])
})

test('a node that stopped by itself says so, and the requester goes on at once', async () => {
  const world = await createSimulation({ nodes: 3, requesterOnly: true, link: { latency: 5 } })
  const requester = world.node(0)
  const job = await requester.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 2000, files: { '/out/a': 'x' } } }))
  let at: string | undefined
  while (at === undefined) {
    await world.clock.next()
    at = world.nodes.slice(1).find((node) => node.store.read((r) => r.list('compute', { state: 'finished', limit: 1 })).length > 0)?.id
  }
  // The verdict and the leases do not arrive; what the node says does.
  world.network.block(requester.id, at)
  await world.clock.advance(8000)
  world.network.heal()
  const from = world.clock.now()
  const state = await world.finish(requester, job)
  const refused = requester.store
    .read((reader) => reader.list('execution', { limit: 10 }).flatMap(({ id }) => reader.history('execution', id, 0, 50)))
    .filter(({ data }) => 'refused' in (data as object))
  expect([state, refused]).toEqual(['completed', []])
  expect(world.clock.now() - from).toBeLessThan(60_000)
})

test('the requester declares an execution lost only after the node has stopped it', async () => {
  const late: number[] = []
  for (let offset = 0; offset < 10; offset++) {
    const world = await createSimulation({
      nodes: 2,
      requesterOnly: true,
      seed: 1 + offset,
      settings: { lease: 30_000, heartbeat: 10_000 },
      link: { latency: 5 },
    })
    const [requester, node] = [world.node(0), world.node(1)]
    await world.clock.advance(offset * 1000)
    await requester.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 500_000 } }))
    await world.clock.advance(200)
    let lostAt = 0
    world.onEvent = (_, event) => {
      if (event.type === 'transition' && event.transition.kind === 'execution' && event.transition.to === 'lost') lostAt = world.clock.now()
    }
    world.network.partition([[requester.id], [node.id]])
    await world.clock.advance(60_000)
    const ended = world.happened.find(({ what }) => what === 'ended')?.at ?? Infinity
    if (ended > lostAt) late.push(ended - lostAt)
    await world.stop()
  }
  expect(late).toEqual([])
})

test('a watcher that throws does not stop the node', async () => {
  const world = await createSimulation({ nodes: 1 })
  const node = world.node(0)
  node.scheduler.watch(() => {
    throw new Error('watcher')
  })
  const job = await node.scheduler.submit(noopJob())
  expect(await world.finish(node, job, 60_000)).toBe('completed')
})

test('a job whose task is larger than a message fails, at once, and says so', async () => {
  const world = await createSimulation({ nodes: 1 })
  const node = world.node(0)
  const large = noopJob({ engine: { type: 'noop', files: { '/out/a': 'x'.repeat(2_000_000) } } })
  await expect(node.scheduler.submit(large)).rejects.toMatchObject({ code: 'task-too-large' })
  expect(world.errors).toEqual([])
})

test('many asks to one node that are together larger than a frame still get there', async () => {
  const world = await createSimulation({ nodes: 1, capacity: { cpu: 64_000, memory: 2 ** 40, disk: 2 ** 45 } })
  const node = world.node(0)
  const job = await node.scheduler.submit(noopJob({ sharding: { count: 64 }, engine: { type: 'noop', files: { '/out/a': 'x'.repeat(400_000) } } as never }))
  expect(await world.finish(node, job, 200_000)).toBe('completed')
})

test('a job does not fail with no-node because its requester restarted and knows nobody but itself', async () => {
  const world = await createSimulation({ nodes: 2, engines: (index) => (index === 0 ? ['other'] : ['noop']) })
  const requester = world.node(0)
  world.interference.publish = () => Promise.reject(new Error('this time not'))
  const job = await requester.scheduler.submit(noopJob())
  await world.clock.advance(1100)
  expect(requester.store.read((r) => r.list('shard', { limit: 1 }))[0]?.state).toBe('backoff')
  delete world.interference.publish
  requester.crash()
  await requester.restart()
  expect([await world.finish(requester, job), requester.scheduler.job(job)?.failure]).toEqual(['completed', undefined])
})

test('a job that is submitted just after a start waits for others to be heard of', async () => {
  const world = await createSimulation({ nodes: 2, engines: (index) => (index === 0 ? ['other'] : ['noop']) })
  const requester = world.node(0)
  requester.crash()
  await requester.restart()
  const job = await requester.scheduler.submit(noopJob())
  expect([await world.finish(requester, job), requester.scheduler.job(job)?.failure]).toEqual(['completed', undefined])
})

test('a node that restarts with less capacity than it holds starts', async () => {
  const world = await createSimulation({ nodes: 1, capacity: { cpu: 4000 } })
  const node = world.node(0)
  const job = await node.scheduler.submit(noopJob({ resources: { cpu: 4000 }, engine: { type: 'noop', duration: 50_000 } }))
  await world.clock.advance(1000)
  node.crash()
  world.interference.capacity = { cpu: 1000 }
  await node.restart()
  await world.finish(node, job)
})

test('asks that wait are served when a restart brings capacity', async () => {
  const world = await createSimulation({ nodes: 1, capacity: { cpu: 1000 } })
  const node = world.node(0)
  await node.scheduler.submit(noopJob({ resources: { cpu: 1000 }, engine: { type: 'noop', duration: 600_000 }, timeouts: { execution: 700_000 } }))
  await world.clock.advance(200)
  const job = await node.scheduler.submit(noopJob({ resources: { cpu: 1000 } }))
  await world.clock.advance(200)
  node.crash()
  world.interference.capacity = { cpu: 4000 }
  await node.restart()
  expect(await world.finish(node, job, 60_000)).toBe('completed')
})

test('a large ask is not passed for ever by small ones that come later', async () => {
  const world = await createSimulation({ nodes: 1, capacity: { cpu: 1000 } })
  const node = world.node(0)
  const small = (): Promise<string> => node.scheduler.submit(noopJob({ resources: { cpu: 500 }, engine: { type: 'noop', duration: 4000 } }))
  await small()
  await world.clock.advance(2000)
  await small()
  const large = await node.scheduler.submit(noopJob({ resources: { cpu: 1000 }, engine: { type: 'noop', duration: 1000 } }))
  for (let i = 0; i < 60; i++) {
    await world.clock.advance(2000)
    await small()
  }
  expect(node.scheduler.job(large)?.state).toBe('completed')
})

test('asks that fit are served while others ahead of them wait for a GPU', async () => {
  const world = await createSimulation({ nodes: 1, capacity: { cpu: 8000 }, devices: [{ id: 'g', kind: 'gpu' }] })
  const node = world.node(0)
  const gpu = (duration: number) =>
    noopJob({ resources: { cpu: 100, gpu: { count: 1 } } as never, engine: { type: 'noop', duration }, timeouts: { queue: 3_000_000, execution: 3_000_000 } })
  await node.scheduler.submit(gpu(2_000_000))
  const cpu = await node.scheduler.submit(noopJob({ resources: { cpu: 7000 }, engine: { type: 'noop', duration: 5000 } }))
  await world.clock.advance(200)
  await node.scheduler.submit({ ...gpu(10), sharding: { count: 20 } })
  await world.clock.advance(200)
  const later = await node.scheduler.submit(noopJob({ resources: { cpu: 7000 }, engine: { type: 'noop', duration: 100 } }))
  await world.finish(node, cpu)
  await world.clock.advance(100_000)
  expect(node.scheduler.job(later)?.state).toBe('completed')
})

test('an execution that runs is named in the heartbeat however many asks wait', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 } })
  const [requester, node] = [world.node(0), world.node(1)]
  const job = await requester.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 10_000 } }))
  await world.clock.advance(500)
  const data = node.store.read((r) => r.list('compute', { limit: 1 }))[0]?.data as object
  // A stranger's asks wait.
  node.store.transact((t) => {
    for (let i = 0; i < 8200; i++)
      t.put({
        kind: 'compute',
        id: `!${i}`,
        parent: 'stranger',
        state: 'queued',
        open: true,
        version: 1,
        data: { ...data, id: `!${i}`, requester: 'stranger' } as never,
      })
  })
  await world.clock.advance(20_000)
  expect(requester.scheduler.result(job)?.shards.flatMap(({ executions }) => executions.map(({ outcome }) => outcome))).toEqual(['completed'])
})

test('a requester that is away for a moment between stage and run of a large shard costs no attempt', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 }, settings: { lease: 30_000, heartbeat: 3000 } })
  const requester = world.node(0)
  world.interference.stage = () => new Promise<void>((resolve) => void world.clock.at(world.clock.now() + 100, () => resolve()))
  const job = await requester.scheduler.submit(noopJob({ inputs: [{ source: { type: 'inline', text: '40' }, path: '/in' }], retry: { attempts: 1 } }))
  await world.clock.advance(2000)
  requester.crash()
  await world.clock.advance(5000)
  await requester.restart()
  expect([await world.finish(requester, job), requester.scheduler.job(job)?.failure]).toEqual(['completed', undefined])
})

test('the result of a job that runs does not say completed', async () => {
  const world = await createSimulation({ nodes: 1 })
  const job = await world.node(0).scheduler.submit(noopJob())
  expect(world.node(0).scheduler.result(job)?.state).not.toBe('completed')
})

test('a bid that expires before its requester hears of it does not leave the shard waiting for it', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 } })
  const [requester, node] = [world.node(0), world.node(1)]
  const job = await requester.scheduler.submit(noopJob())
  world.network.block(node.id, requester.id)
  await world.clock.advance(31_000)
  expect(node.store.read((reader) => reader.list('compute', { limit: 2 })).map(({ state }) => state)).toEqual(['expired'])
  world.network.heal()
  expect(await world.finish(requester, job, 60_000)).toBe('completed')
})
