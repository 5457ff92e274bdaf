import { decodeMessage, encodeAnnouncement, encodeMessage, executionId, type MessageType } from '@skrei/protocol'
import type { Rejection } from '@skrei/transport'
import { expect, test } from 'vitest'
import { createSimulation, type Simulation } from '../src/simulation/index.ts'
import { watchInvariants } from './invariants.ts'
import { noopJob } from './noop-job.ts'

const sign = () => new Uint8Array(64)
const incarnation = { counter: 1, id: '1'.repeat(16) }

const bytesOf = (from: string, to: string, type: MessageType, body: unknown, start = incarnation): Uint8Array =>
  encodeMessage({ network: 'test', from, to, incarnation: start, type, body } as never, sign)

/** Other bytes of the same length where `text` stands: a message of another release. */
const altered = (bytes: Uint8Array, text: string, by: string): Uint8Array =>
  new Uint8Array(Buffer.from(Buffer.from(bytes).toString('latin1').replace(text, by), 'latin1'))

const send = async (world: Simulation, from: string, to: string, messages: readonly Uint8Array[]): Promise<readonly Rejection[]> => {
  const transport = world.network.join(from)
  await transport.start()
  const sent = transport.send(to, messages, {})
  await world.clock.advance(50)
  const rejections = await sent
  await transport[Symbol.asyncDispose]()
  return rejections
}

test('a message of another version, of an unknown type or malformed is refused with its code; the others of the frame are applied', async () => {
  const world = await createSimulation({ nodes: 1 })
  const { id, scheduler } = world.node(0)
  const settle = bytesOf('peer', id, 'settle', { execution: 'x' })
  const rejections = await send(world, 'peer', id, [
    altered(settle, 'version\x01', 'version\x02'),
    bytesOf('peer', id, 'stop', { execution: 'x', reason: 'cancel' }),
    altered(settle, 'settle', 'settla'),
    new Uint8Array([1, 2, 3]),
    settle,
    bytesOf('other', id, 'settle', { execution: 'x' }),
    bytesOf('peer', id, 'commit', { execution: 'x', round: 0, commitment: 'a'.repeat(64) }),
  ])
  expect(rejections).toEqual([
    { index: 0, code: 'unsupported-version', reason: 'this node speaks version 1, the message is of version 2' },
    { index: 2, code: 'unknown-message', reason: '"settla" is not a message of protocol version 1' },
    { index: 3, code: 'malformed-message', reason: expect.any(String) },
    { index: 5, code: 'wrong-sender', reason: expect.any(String) },
    { index: 6, code: 'unsupported-message', reason: 'this node takes no commit' },
  ])
  expect(world.errors).toEqual([])
  expect(await world.finish(world.node(0), await scheduler.submit(noopJob()))).toBe('completed')
})

test('a node that runs nothing refuses asks, and a second node with one key is refused, each with a code', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true })
  const asks: Uint8Array[] = []
  const observer = world.network.join('observer')
  await observer.start()
  observer.receive(async (_, frame) => void asks.push(...frame))
  await announce(world, observer, 'observer')
  await world.node(0).scheduler.submit(noopJob())
  await world.clock.advance(1000)
  const ask = asks
    .map((bytes) => decodeMessage(bytes, { network: 'test', self: 'observer', from: world.node(0).id, check: () => true, verified: () => false }))
    .find(({ type }) => type === 'ask')
  const message = bytesOf('peer', world.node(0).id, 'ask', ask?.body)
  expect(await send(world, 'peer', world.node(0).id, [message])).toEqual([{ index: 0, code: 'unsupported-message', reason: 'this node takes no ask' }])

  const { id } = world.node(1)
  const askOf = (counter: number, start: string) => bytesOf('twin', id, 'ask', ask?.body, { counter, id: start.repeat(16) })
  expect(await send(world, 'twin', id, [askOf(2, 'a')])).toEqual([])
  expect(await send(world, 'twin', id, [askOf(2, 'b')])).toMatchObject([{ index: 0, code: 'duplicate-identity' }])
})

test('who says that another node lives with the key of this one keeps nobody else from saying so', async () => {
  const world = await createSimulation({ nodes: 1, requesterOnly: true, link: { latency: 5 } })
  const requester = world.node(0)
  const told: string[] = []
  requester.scheduler.watch((event) => void (event.type === 'duplicate-identity' && told.push(event.node)))
  const strangers = ['stranger-a', 'stranger-b', 'stranger-c']
  for (const id of strangers) {
    const transport = world.network.join(id)
    await transport.start()
    transport.receive(async (_, frame) => frame.map((_, index) => ({ index, code: 'duplicate-identity', reason: 'you live twice' })))
    await announce(world, transport, id)
  }
  await world.clock.advance(50)
  for (let count = 0; count < 4; count++) await requester.scheduler.submit(noopJob())
  await world.clock.advance(world.settings.announcementTtl / 2)
  // Each once, however often it said so.
  expect(told.toSorted()).toEqual(strangers)
  await world.stop()
})

test('a frame full of nonsense is answered within bounds', async () => {
  const world = await createSimulation({ nodes: 1 })
  const rejections = await send(
    world,
    'peer',
    world.node(0).id,
    Array.from({ length: 5000 }, () => new Uint8Array([1])),
  )
  expect(rejections.length).toBe(1024)
  for (const { reason } of rejections) expect(reason.length).toBeLessThanOrEqual(256)
})

const announce = (world: Simulation, transport: { publish(topic: string, bytes: Uint8Array): Promise<void> }, node: string): Promise<void> => {
  const capacity = { cpu: 1e6, memory: 2 ** 40, disk: 2 ** 40 }
  const offer = {
    engines: [{ name: 'noop', version: '2' }],
    sources: ['inline'],
    publishers: ['ipfs', 'none'],
    capacity,
    free: capacity,
    devices: [],
    labels: {},
  }
  const announcement = { network: 'test', node, incarnation, counter: 1, issuedAt: world.clock.now(), ttl: 300_000, ...offer }
  return transport.publish('skrei/announcements/1/test', encodeAnnouncement(announcement, sign))
}

/** A node of another release: it bids where `bids`, and refuses every other message with a code. */
const foreigner = async (world: Simulation, id: string, bids: boolean) => {
  const transport = world.network.join(id)
  await transport.start()
  const got: MessageType[] = []
  transport.receive(async (from, frame): Promise<readonly Rejection[]> => {
    const messages = frame.map((bytes) => decodeMessage(bytes, { network: 'test', self: id, from, check: () => true, verified: () => false }))
    got.push(...messages.map(({ type }) => type))
    return messages.flatMap((message, index) => {
      if (!bids || message.type !== 'ask') return [{ index, code: 'unsupported-version', reason: 'this node speaks version 2' }]
      const { askId, shard } = message.body
      const execution = executionId({ network: 'test', requester: from, compute: id, askId, index: shard.index })
      void transport.send(from, [bytesOf(id, from, 'bid', { askId, execution, ttl: 30_000 })], {}).catch(() => {})
      return []
    })
  })
  await announce(world, transport, id)
  await world.clock.advance(50)
  return { id, got }
}

test('an ask that a node of another version refuses is a decline for good: it is asked once, and the reason is told', async () => {
  const world = await createSimulation({ nodes: 1, requesterOnly: true, link: { latency: 5 } })
  const invariants = watchInvariants(world)
  const node = await foreigner(world, 'foreign', false)
  const requester = world.node(0)
  await world.clock.advance(60_000)
  const job = await requester.scheduler.submit(noopJob({ timeouts: { queue: 60_000, total: 600_000 } }))
  expect(await world.finish(requester, job)).toBe('failed')
  invariants.checkAll()
  expect(requester.scheduler.job(job)?.failure).toEqual({
    code: 'no-node',
    detail: '0 of 1 node could run this: 1 says: unsupported-version: this node speaks version 2 (protocol-unsupported)',
  })
  expect(node.got).toEqual(['ask'])
  expect(requester.scheduler.history(job, { limit: 100 })).toContainEqual(
    expect.objectContaining({
      kind: 'shard',
      event: 'undeliverable',
      actor: 'foreign',
      undeliverable: { message: 'ask', code: 'unsupported-version', reason: 'this node speaks version 2' },
    }),
  )
})

test('an award that the node refuses as a message is a refused award, and the shard goes to a node that takes it', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 } })
  const invariants = watchInvariants(world)
  const node = await foreigner(world, 'foreign', true)
  const requester = world.node(0)
  const jobs: string[] = []
  for (let count = 0; count < 6; count++) jobs.push(await requester.scheduler.submit(noopJob()))
  for (const job of jobs) expect(await world.finish(requester, job)).toBe('completed')
  invariants.checkAll()
  const executions = jobs.flatMap((job) => requester.scheduler.result(job)?.shards.flatMap((shard) => shard.executions) ?? [])
  const refused = executions.filter((one) => one.node === 'foreign')
  expect(refused.length).toBeGreaterThan(0)
  for (const one of refused)
    expect(one).toMatchObject({ outcome: 'refused', failure: { code: 'node-fault', detail: 'the node refused the award: unsupported-version' } })
  expect(node.got.filter((type) => type === 'award').length).toBe(refused.length)
  expect(jobs.flatMap((job) => requester.scheduler.history(job, { limit: 100 }))).toContainEqual(
    expect.objectContaining({
      kind: 'execution',
      id: refused[0]?.id,
      undeliverable: expect.objectContaining({ message: 'award', code: 'unsupported-version' }),
    }),
  )
  await world.clock.advance(200)
  expect(requester.store.read((reader) => reader.pending(0, 10))).toEqual([])
})
