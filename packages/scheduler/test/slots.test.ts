import { decodeMessage, encodeMessage, type Incarnation } from '@skrei/protocol'
import { expect, test } from 'vitest'
import { createSimulation, type SimulatedNode, type Simulation, type SimulationOptions, seededRandom } from '../src/simulation/index.ts'
import { quiet, watchInvariants } from './invariants.ts'
import { noopJob } from './noop-job.ts'
import { type Recorder, recorder } from './recorded-transport.ts'

const kinds = ['job', 'shard', 'execution', 'compute']
const sign = () => new Uint8Array(64)

type Recorded = Simulation & { readonly messages: Recorder }

const createWorld = async (options: SimulationOptions): Promise<Recorded> => {
  const messages = recorder()
  return Object.assign(await createSimulation({ ...options, between: messages.wrap }), { messages })
}

const versions = (world: Simulation): readonly string[] =>
  world.nodes.flatMap((node) =>
    kinds.flatMap((kind) =>
      node.store.read((reader) => reader.list(kind, { limit: 10_000 })).map(({ id, state, version }) => `${node.id} ${kind} ${id} ${state} ${version}`),
    ),
  )

const restartAll = async (world: Recorded): Promise<void> => {
  for (const node of world.nodes) node.crash()
  for (const node of world.nodes) await node.restart()
}

/** Says all of it again, as its senders, in an order of its own. */
const replay = async (world: Recorded, seed: number): Promise<void> => {
  const random = seededRandom(seed)
  const all = world.messages.sent.map((sent) => ({ sent, order: random() })).sort((one, other) => one.order - other.order)
  for (const { sent } of all) {
    const sender = world.nodes.find(({ id }) => id === sent.from)
    void sender?.transport.send(sent.to, [sent.bytes], {}).catch(() => {})
    await world.clock.advance(1)
  }
  await world.clock.advance(1000)
}

test('everything that was ever said, said again in any order after restarts, changes nothing; what asks for an answer is answered in the same bytes', async () => {
  const world = await createWorld({ nodes: 4, requesterOnly: true, link: { latency: 5, jitter: 20 }, seed: 7 })
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit(noopJob({ sharding: { count: 6 }, retry: { attempts: 20 } }))
  await world.clock.advance(300)
  world.node(1).crash()
  await world.clock.advance(700)
  await world.node(1).restart()
  const cancelled = await requester.scheduler.submit(noopJob({ sharding: { count: 3 }, engine: { type: 'noop', duration: 60_000 } }))
  await world.clock.advance(2000)
  await requester.scheduler.cancel(cancelled)
  expect([await world.finish(requester, jobId), await world.finish(requester, cancelled)]).toEqual(['completed', 'cancelled'])
  await world.clock.advance(7_200_000)

  await restartAll(world)
  const before = versions(world)
  const said = world.messages.sent.length
  expect(said).toBeGreaterThan(40)
  for (let round = 1; round <= 3; round++) {
    const sends = world.network.counters().messages
    await replay(world, round)
    expect(versions(world)).toEqual(before)
    // Each of the replayed, and the answers besides.
    expect(world.network.counters().messages - sends).toBeGreaterThan(said * 1.2)
    await restartAll(world)
  }
  expect(world.messages.broken).toEqual([])
  expect(quiet(world)).toEqual([])
  expect(world.errors).toEqual([])
})

test.each([1, 2, 3, 4, 5, 6])('said again in the middle of a job (seed %i), it costs no attempt and no second run', async (seed) => {
  const world = await createWorld({ nodes: 3, requesterOnly: true, link: { latency: 5, jitter: 10 }, seed })
  const invariants = watchInvariants(world)
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit(noopJob({ sharding: { count: 3 }, engine: { type: 'noop', duration: 2000, files: { '/out/a': 'x' } } }))
  await world.clock.advance(seed * 400)
  for (const node of world.nodes) {
    node.crash()
    await node.restart()
    await replay(world, seed)
    invariants.checkAll()
  }
  expect(await world.finish(requester, jobId)).toBe('completed')
  await world.clock.advance(7_200_000)
  invariants.checkAll()
  expect(requester.scheduler.result(jobId)?.shards.map(({ executions }) => executions.length)).toEqual([1, 1, 1])
  expect([world.messages.broken, world.errors, quiet(world)]).toEqual([[], [], []])
})

const equivocations = (node: SimulatedNode): readonly unknown[] =>
  kinds.flatMap((kind) =>
    node.store.read((reader) =>
      reader.list(kind, { limit: 1000 }).flatMap(({ id }) =>
        reader
          .history(kind, id, 0, 1000)
          .filter(({ data }) => (data as { refused?: string }).refused === 'equivocation')
          .map(({ data }) => `${kind} ${(data as { event: string }).event}`),
      ),
    ),
  )

test('other words in a slot that was filled before a restart are recorded once, and change nothing', async () => {
  const world = await createWorld({ nodes: 2, requesterOnly: true, link: { latency: 5 } })
  const [requester, node] = [world.node(0), world.node(1)]
  const jobId = await requester.scheduler.submit(noopJob())
  expect(await world.finish(requester, jobId)).toBe('completed')
  await world.clock.advance(1000)
  await restartAll(world)
  const before = versions(world)
  for (const { from, to, bytes } of world.messages.sent.slice()) {
    const message = decodeMessage(bytes, { network: 'test', self: to, from, check: () => true, verified: () => false })
    const body = message.type === 'finished' ? { ...message.body, exit: 9 } : message.type === 'verdict' ? { ...message.body, act: 'drop' as const } : undefined
    if (body === undefined) continue
    const lie = encodeMessage({ ...message, body } as never, sign)
    const liar = world.nodes.find(({ id }) => id === from)
    // Three times: a peer that goes on does not fill the store.
    for (let time = 0; time < 3; time++) void liar?.transport.send(to, [lie], {})
    await world.clock.advance(100)
  }
  expect(versions(world)).toEqual(before)
  expect([equivocations(requester), equivocations(node)]).toEqual([['execution finished'], ['compute verdict']])
})

test('a peer that fills slots without end is not heard any more, and its object does not grow', async () => {
  const world = await createWorld({ nodes: 2, requesterOnly: true, link: { latency: 5 } })
  const [requester, node] = [world.node(0), world.node(1)]
  await requester.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 10_000, files: { '/out/a': 'x' } } }))
  await world.clock.advance(2000)
  const execution = requester.store.read((reader) => reader.list('execution', { limit: 1 }))[0]?.id ?? ''
  const { counter, id } = (requester.store.read((reader) => reader.get('node', 'self'))?.data ?? {}) as unknown as Incarnation
  for (let epoch = 100; epoch < 400; epoch++) {
    const lie = { network: 'test', from: requester.id, to: node.id, incarnation: { counter, id }, type: 'superseded', body: { execution, epoch } }
    void requester.transport.send(node.id, [encodeMessage(lie as never, sign)], {})
    await world.clock.advance(1)
  }
  await world.clock.advance(100)
  expect(node.store.read((reader) => reader.history('compute', execution, 0, 1000)).length).toBeLessThan(80)
  expect(JSON.stringify(node.store.read((reader) => reader.get('compute', execution))).length).toBeLessThan(10_000)
})
