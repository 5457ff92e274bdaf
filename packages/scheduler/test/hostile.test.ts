import { cidOf } from '@skrei/job-spec'
import { type AnyMessage, decodeMessage, encodeAnnouncement, encodeHint, encodeMessage, executionId } from '@skrei/protocol'
import { expect, test } from 'vitest'
import { createSimulation, type Simulation } from '../src/simulation/index.ts'
import { askBody } from './asker.ts'
import { noopJob } from './noop-job.ts'

const sign = () => new Uint8Array(64)
const incarnation = { counter: 1, id: '1'.repeat(16) }

/** A peer that says what it likes. */
const evil = async (world: Simulation, id: string) => {
  const transport = world.network.join(id)
  await transport.start()
  const got: AnyMessage[] = []
  transport.receive(async (from, frame) => {
    for (const bytes of frame) got.push(decodeMessage(bytes, { network: 'test', self: id, from, check: () => true, verified: () => false }))
  })
  const say = async (to: string, type: string, body: unknown) => {
    const sent = transport.send(to, [encodeMessage({ network: 'test', from: id, to, incarnation, type, body } as never, sign)], {}).then(
      () => 'ok',
      (error: Error) => String(error),
    )
    await world.clock.advance(50)
    return sent
  }
  return { transport, got, say }
}

test('a bid for an ask id without a slash does not fail the turn of others', async () => {
  const world = await createSimulation({ nodes: 1 })
  const peer = await evil(world, 'evil')
  const node = world.node(0)
  const frame = encodeMessage(
    { network: 'test', from: 'evil', to: node.id, incarnation, type: 'bid', body: { askId: 'x', execution: 'y', ttl: 1 } } as never,
    sign,
  )
  // many jobs in progress, one poison message each few ms
  const jobId = await node.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 1, files: {} }, sharding: { count: 20 } }))
  const results: string[] = []
  for (let i = 0; i < 1; i++)
    void peer.transport.send(node.id, [frame], {}).then(
      () => results.push('ok'),
      (error: Error) => results.push(String(error.cause)),
    )
  const accepted = node.scheduler.submit(noopJob()).then(
    () => 'accepted',
    (error: unknown) => String(error),
  )
  expect(await accepted).toBe('accepted')
  await world.clock.advance(2000)
  expect(results).toEqual(['ok'])
  expect(world.errors).toEqual([])
  expect(await world.finish(node, jobId, 60_000)).toBe('completed')
})

test('a stranger bid for a shard that is not there leaves nothing and breaks nothing', async () => {
  const world = await createSimulation({ nodes: 1 })
  const peer = await evil(world, 'evil')
  await peer.say(world.node(0).id, 'bid', { askId: 'nojob/0000000/0', execution: 'y', ttl: 1 })
  expect(world.errors).toEqual([])
  expect(world.node(0).store.read((r) => r.history('shard', 'nojob/0000000', 0, 10))).toEqual([])
})

test('an ask to a requester-only node is declined or dropped, not a fault with a history row', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true })
  const done: string[] = []
  const peer = await evil(world, 'evil')
  // taken from a real ask
  const task = {
    specCid: 'b',
    engine: { type: 'noop' },
    env: {},
    outputs: [],
    resources: { cpu: 1, memory: 1, disk: 1, gpu: { count: 0 } },
    limits: { stdout: 1, stderr: 1, files: 1 },
    network: { mode: 'none' },
    timeout: 1000,
  }
  done.push(
    await peer.say(world.node(0).id, 'ask', {
      askId: 'a/0',
      job: 'a',
      task,
      shard: { index: 0, count: 1, manifest: 'b', files: [] },
      terms: { queue: 1000, lease: 1000, publishers: [{ type: 'none' }], verification: 'none', constraints: [], publish: 1000, retention: 1000 },
    }),
  )
  expect(done).toEqual(['ok'])
  expect(world.errors).toEqual([])
})

/** A node that announces itself and answers asks as told. */
const rogue = async (world: Simulation, id: string, onMessage: (message: AnyMessage, say: (type: string, body: unknown) => void) => void, beat = false) => {
  const transport = world.network.join(id)
  await transport.start()
  const say = (to: string) => (type: string, body: unknown) =>
    void transport.send(to, [encodeMessage({ network: 'test', from: id, to, incarnation, type, body } as never, sign)], {}).catch(() => {})
  transport.receive(async (from, frame) => {
    for (const bytes of frame) onMessage(decodeMessage(bytes, { network: 'test', self: id, from, check: () => true, verified: () => false }), say(from))
  })
  let counter = 0
  const announce = (): void => {
    counter++
    void transport.publish(
      'skrei/announcements/1/test',
      encodeAnnouncement(
        {
          network: 'test',
          node: id,
          incarnation,
          counter,
          issuedAt: world.clock.now(),
          ttl: 90_000,
          engines: [{ name: 'noop', version: '1' }],
          sources: ['inline'],
          publishers: ['ipfs', 'none'],
          capacity: { cpu: 1e6, memory: 2 ** 40, disk: 2 ** 40 },
          free: { cpu: 1e6, memory: 2 ** 40, disk: 2 ** 40 },
          devices: [],
          labels: {},
        },
        sign,
      ),
    )
    world.clock.at(world.clock.now() + 30_000, announce)
  }
  announce()
  await world.clock.advance(10)
  return { transport, say, beat }
}

test('a bidder that declines its own bid does not leave the shard running nothing, for ever', async () => {
  const world = await createSimulation({ nodes: 1, requesterOnly: true, link: { latency: 5 } })
  await rogue(world, 'aaa-silent', () => {})
  await rogue(world, 'rogue', (message, say) => {
    if (message.type !== 'ask') return
    const { askId } = message.body
    say('bid', {
      askId,
      execution: executionId({ network: 'test', requester: message.from, compute: 'rogue', askId, index: message.body.shard.index }),
      ttl: 30_000,
    })
    world.clock.at(world.clock.now() + 20, () => say('decline', { askId, refusals: [{ code: 'busy', detail: 'no' }] }))
  })
  const requester = world.node(0)
  // Several jobs: in some of them the rogue is not ranked first, and the shard waits in `choosing`.
  const jobs: string[] = []
  for (let i = 0; i < 6; i++) jobs.push(await requester.scheduler.submit(noopJob({ timeouts: { total: 600_000, queue: 60_000 } })))
  await world.clock.advance(900_000)
  for (const job of jobs) await requester.scheduler.cancel(job)
  await world.clock.advance(3_600_000)
  expect(jobs.map((job) => requester.scheduler.job(job)?.state)).not.toContain('stopping')
})

test('a stranger cannot decline for another', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 20 } })
  const peer = await evil(world, 'evil')
  const requester = world.node(0)
  let n = 0
  const spoil = (): void => {
    n++
    // A new incarnation each time: the slots do not count as filled.
    const say = (i: number) =>
      encodeMessage(
        {
          network: 'test',
          from: 'evil',
          to: requester.id,
          incarnation: { counter: n, id: '1'.repeat(16) },
          type: 'decline',
          body: { askId: `job-0001/0000000/${i}`, refusals: [{ code: 'busy', detail: 'no' }] },
        } as never,
        sign,
      )
    void peer.transport
      .send(
        requester.id,
        Array.from({ length: 40 }, (_, i) => say(i)),
        {},
      )
      .catch(() => {})
    world.clock.at(world.clock.now() + 10, spoil)
  }
  const job = await requester.scheduler.submit(noopJob({ timeouts: { queue: 30_000 } }))
  spoil()
  const state = await world.finish(requester, job)
  expect([state, requester.scheduler.job(job)?.failure]).toEqual(['completed', undefined])
})

test('a node that heartbeats and never ends does not hold a shard longer than its time limits', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 }, settings: { stage: 10_000 } })
  const held = new Set<string>()
  const r = await rogue(world, 'rogue', (message, say) => {
    if (message.type === 'ask')
      say('bid', {
        askId: message.body.askId,
        execution: executionId({ network: 'test', requester: message.from, compute: 'rogue', askId: message.body.askId, index: message.body.shard.index }),
        ttl: 30_000,
      })
    if (message.type === 'award') {
      held.add(message.body.execution)
      say('awarded', { execution: message.body.execution })
    }
  })
  let n = 0
  const beat = (): void => {
    r.transport.hint(
      world.node(0).id,
      encodeHint({ type: 'alive', network: 'test', incarnation, counter: ++n, executions: [...held].map((id) => ({ id, phase: 'running' as const })) }),
    )
    world.clock.at(world.clock.now() + 1000, beat)
  }
  beat()
  const requester = world.node(0)
  const jobs = await Promise.all([0, 1, 2, 3].map(() => requester.scheduler.submit(noopJob({ timeouts: { execution: 5000, total: 3_000_000 } }))))
  await world.clock.advance(600_000)
  expect(held.size).toBeGreaterThan(0)
  expect(jobs.map((job) => requester.scheduler.job(job)?.state)).toEqual(jobs.map(() => 'completed'))
})

test('a stranger cannot read the manifest of a job', async () => {
  const world = await createSimulation({ nodes: 1 })
  const job = await world.node(0).scheduler.submit(noopJob({ inputs: [{ source: { type: 'inline', text: 'password' }, path: '/in' }] }))
  await world.clock.advance(5000)
  const peer = await evil(world, 'evil')
  let text = ''
  const reading = (async () => {
    for await (const chunk of peer.transport.query(world.node(0).id, 'skrei/manifest/1', new TextEncoder().encode(JSON.stringify({ job, index: 0 })), {}))
      text += new TextDecoder().decode(chunk)
  })().catch(() => {})
  await world.clock.advance(2000)
  await reading
  expect(text).not.toContain('password')
})

test('without a digest nothing is matched: a reference that nobody can fetch completes a shard', async () => {
  const world = await createSimulation({ nodes: 1, requesterOnly: true, link: { latency: 5 } })
  await rogue(world, 'rogue', (message, say) => {
    if (message.type === 'ask')
      say('bid', {
        askId: message.body.askId,
        execution: executionId({ network: 'test', requester: message.from, compute: 'rogue', askId: message.body.askId, index: message.body.shard.index }),
        ttl: 30_000,
      })
    if (message.type === 'award') {
      const { execution } = message.body
      say('awarded', { execution })
      say('finished', { execution, usage: {}, facts: {} })
    }
    if (message.type === 'verdict')
      say('published', { execution: message.body.execution, round: 0, epoch: message.body.epoch, reference: { type: 'local', path: '/etc/passwd' } })
  })
  const requester = world.node(0)
  const job = await requester.scheduler.submit(noopJob({ retry: { attempts: 1 } }))
  expect(await world.finish(requester, job)).not.toBe('completed')
})

test('a requester that only asks does not hold all of a node, nor for longer than the node allows', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, capacity: { cpu: 4000 }, link: { latency: 5 }, settings: { retention: 60_000 } })
  const [requester, node] = [world.node(0), world.node(1)]
  const peer = await evil(world, 'evil')
  const task = {
    specCid: 'b',
    engine: { type: 'noop', duration: 10 },
    env: {},
    outputs: [],
    resources: { cpu: 100, memory: 1, disk: 65_536 * 2 ** 20, gpu: { count: 0 } },
    limits: { stdout: 1, stderr: 1, files: 1 },
    network: { mode: 'none' },
    timeout: 1000,
  }
  const decade = 315_360_000_000
  await peer.say(node.id, 'ask', {
    askId: 'a/0',
    job: 'a',
    task,
    shard: { index: 0, count: 1, manifest: cidOf([]), files: [] },
    terms: { queue: decade, lease: null, publishers: [{ type: 'none' }], verification: 'none', constraints: [], publish: decade, retention: decade },
  })
  await world.clock.advance(100)
  await peer.say(node.id, 'award', { askId: 'a/0', execution: executionId({ network: 'test', requester: 'evil', compute: node.id, askId: 'a/0', index: 0 }) })
  await peer.transport[Symbol.asyncDispose]()
  await world.clock.advance(24 * 3_600_000)
  const job = await requester.scheduler.submit(noopJob())
  expect(await world.finish(requester, job)).toBe('completed')
})

test('what is said of an execution that is verified must be signed, of one that is not it need not be', async () => {
  const world = await createSimulation({ nodes: 1 })
  const node = world.node(0)
  const { transport, got, say } = await evil(world, 'requester')
  const ask = async (index: number, verification: string): Promise<string> => {
    const body = askBody(index)
    await say(node.id, 'ask', { ...body, terms: { ...body.terms, verification } })
    return executionId({ network: 'test', requester: 'requester', compute: node.id, askId: body.askId, index: 0 })
  }
  const unsigned = async (execution: string): Promise<readonly string[]> => {
    const stop = { network: 'test', from: 'requester', to: node.id, incarnation, type: 'stop', body: { execution, reason: 'cancel' } }
    const sent = transport.send(node.id, [encodeMessage(stop as never, undefined)], {})
    await world.clock.advance(50)
    return (await sent).map(({ code }) => code)
  }
  const verified = await ask(0, 'replicated')
  const plain = await ask(1, 'none')
  expect(await unsigned(verified)).toEqual(['bad-signature'])
  expect(got.filter(({ type }) => type === 'stopped')).toEqual([])
  await say(node.id, 'stop', { execution: verified, reason: 'cancel' })
  expect(await unsigned(plain)).toEqual([])
  expect(got.flatMap((message) => (message.type === 'stopped' ? [message.body.execution] : []))).toEqual([verified, plain])
})
