import { encodeAnnouncement, encodeSampleHead, frame, sampleProtocol } from '@skrei/protocol'
import type { VirtualClock } from '@skrei/transport/memory'
import { memoryNetwork, virtualClock } from '@skrei/transport/memory'
import { describe, expect, test } from 'vitest'
import { createDirectory, directoryBound, perSource } from '../src/directory/directory.ts'
import { createSampler } from '../src/directory/sampler.ts'
import { serveSamples } from '../src/directory/serve-samples.ts'
import { createSimulation, seededRandom } from '../src/simulation/index.ts'
import { announcement } from './announcement.ts'
import { noopJob } from './noop-job.ts'

const sign = (): Uint8Array => new Uint8Array(64)

/** Nodes that only answer, without a scheduler: a network of any size costs little. Those of `knowing` hold the announcements of the ten after them. */
const answering = async (count: number, options: { readonly engine?: (index: number) => string; readonly knowing?: boolean } = {}) => {
  const clock = virtualClock({ start: 1_000_000 })
  const network = memoryNetwork({ clock, seed: 1, timeout: 1000 })
  const names = Array.from({ length: count }, (_, index) => `n${index}`)
  const said = (index: number) =>
    announcement(`n${index}`, { issuedAt: clock.now(), ttl: 90_000, engines: [{ name: options.engine?.(index) ?? 'noop', version: '1' }] })
  const join = async (index: number, name: string): Promise<void> => {
    const transport = network.join(name)
    await transport.start()
    const random = seededRandom(index)
    const directory = createDirectory({ clock, random })
    for (let step = 1; options.knowing === true && step <= 10; step++) {
      const other = said((index + step) % count)
      directory.note(other, { bytes: encodeAnnouncement(other, sign), via: other.node })
    }
    serveSamples({ network: 'test', clock, random, transport, directory, own: () => encodeAnnouncement(said(index), sign) })
  }
  for (const [index, name] of names.entries()) await join(index, name)
  return { clock, network, join }
}

const requester = async ({ clock, network }: { readonly clock: VirtualClock; readonly network: ReturnType<typeof memoryNetwork> }, gossips = false) => {
  const transport = network.join('requester')
  await transport.start()
  const random = seededRandom(99)
  const directory = createDirectory({ clock, random })
  let checks = 0
  const check = (): boolean => ++checks > 0
  const report = (error: unknown): never => {
    throw error
  }
  const world = { network: 'test', self: 'requester', check, clock, random, transport, directory, patience: 5000, target: 64, ttl: 90_000 }
  const sampler = createSampler({ ...world, gossips: () => gossips, report })
  return { directory, sampler, transport, queries: () => network.counters('requester').queries, checks: () => checks }
}

describe('sampling', () => {
  test('whoever connects after everybody was asked, or when there was nobody yet, is asked at once', async () => {
    const world = await answering(0)
    const { directory, sampler } = await requester(world, true)
    sampler.need('noop', true)
    await world.clock.advance(2000)
    expect(sampler.isSettled('noop')).toBe(false)
    for (const index of [0, 1]) {
      await world.join(index, `n${index}`)
      sampler.need('noop', true)
      await world.clock.advance(1000)
      expect([directory.count('noop'), sampler.isSettled('noop')]).toEqual([index + 1, true])
    }
  })

  test('asks nobody while nobody needs nodes, and stops once enough are known', async () => {
    const world = await answering(2000)
    const { directory, sampler, queries } = await requester(world)
    await world.clock.advance(600_000)
    expect(queries()).toBe(0)
    sampler.need('noop', false)
    await world.clock.advance(10_000)
    expect(directory.count('noop')).toBeGreaterThanOrEqual(64)
    expect(queries()).toBeLessThanOrEqual(80)
    const before = queries()
    for (let time = 0; time < 60; time++) {
      sampler.need('noop', false)
      await world.clock.advance(1000)
    }
    expect(queries()).toBe(before)
    // Nobody needs any: what is known runs out, and nothing is asked.
    await world.clock.advance(600_000)
    expect([directory.size, queries()]).toEqual([0, before])
    sampler[Symbol.dispose]()
  })

  test('learns from a peer what that one knows, of the engine that is wanted', async () => {
    const world = await answering(300, { knowing: true, engine: (index) => (index % 50 === 0 ? 'rare' : 'noop') })
    const { directory, sampler, queries } = await requester(world)
    sampler.need('rare', true)
    await world.clock.advance(1000)
    // Six nodes have it, one in five knows one of them.
    expect(directory.count('rare')).toBeGreaterThanOrEqual(5)
    expect(queries()).toBeLessThan(100)
    sampler[Symbol.dispose]()
  })

  test('an urgent need is settled once everybody was asked who can be found, those that others name included', async () => {
    const world = await answering(40, { engine: () => 'other' })
    const { directory, sampler, queries } = await requester(world, true)
    const hidden = Array.from({ length: 40 }, (_, index) => `n${index}`).slice(3)
    // Connected to three only: the others are found by name.
    const blocks = hidden.map((name) => world.network.block('requester', name))
    sampler.need('noop', false)
    await world.clock.advance(10_000)
    expect(queries()).toBe(0)
    sampler.need('noop', true)
    expect(sampler.isSettled('noop')).toBe(false)
    await world.clock.advance(100)
    for (const block of blocks) block[Symbol.dispose]()
    await world.clock.advance(4000)
    expect([sampler.isSettled('noop'), directory.size]).toEqual([true, 40])
    await world.clock.advance(100_000)
    expect(sampler.isSettled('noop')).toBe(false)
    sampler[Symbol.dispose]()
  })

  test('peers that do not answer, or answer nonsense, do not keep it from settling', async () => {
    const clock = virtualClock({ start: 1_000_000 })
    const network = memoryNetwork({ clock, seed: 1, timeout: 1000 })
    const answers: (() => AsyncIterable<Uint8Array>)[] = [
      async function* () {
        await new Promise(() => {})
        yield new Uint8Array(1)
      },
      async function* () {
        for (;;) yield new Uint8Array(10)
      },
      async function* () {
        yield new Uint8Array([255, 255, 255, 255])
      },
      async function* () {
        yield frame(encodeSampleHead({ network: 'other', peers: 1, some: [], sees: [] }))
      },
      async function* () {},
    ]
    for (const [index, answer] of answers.entries()) {
      const transport = network.join(`bad${index}`)
      await transport.start()
      transport.serve(sampleProtocol, answer)
    }
    await network.join('silent').start()
    const { directory, sampler } = await requester({ clock, network })
    sampler.need('noop', true)
    await clock.advance(6000)
    expect([sampler.isSettled('noop'), directory.size]).toEqual([true, 0])
    sampler[Symbol.dispose]()
  })

  test('a liar that gives 10,000 made-up nodes costs bounded work and takes a bounded part of the directory', async () => {
    const world = await answering(200)
    const liar = world.network.join('liar')
    await liar.start()
    let made = 0
    liar.serve(sampleProtocol, async function* () {
      yield frame(encodeSampleHead({ network: 'test', peers: 1, some: Array.from({ length: 8 }, () => `nobody${++made}`), sees: [] }))
      for (let index = 0; index < 10_000; index++)
        yield frame(encodeAnnouncement(announcement(`made${++made}`, { issuedAt: world.clock.now(), ttl: 90_000, labels: { padding: 'x'.repeat(63) } }), sign))
    })
    const { directory, sampler, checks, queries } = await requester(world)
    for (let time = 0; time < 300; time++) {
      sampler.need('noop', true)
      await world.clock.advance(1000)
    }
    const nodes = directory.all().map(({ node }) => node)
    expect(nodes.filter((node) => node.startsWith('made')).length).toBeLessThanOrEqual(perSource)
    expect(nodes.filter((node) => node.startsWith('n')).length).toBeGreaterThan(100)
    expect(nodes.length).toBeLessThanOrEqual(directoryBound)
    // Each answer costs a sample at most.
    expect(checks()).toBeLessThanOrEqual(32 * queries())
    expect(queries()).toBeLessThan(2000)
    sampler[Symbol.dispose]()
  })

  test('who asks too often gets no more announcements', async () => {
    const world = await answering(1, { knowing: true })
    const { directory, sampler, transport } = await requester(world)
    const { encodeSampleRequest } = await import('@skrei/protocol')
    const ask = async (by = transport, most = 8): Promise<number> => {
      let chunks = 0
      for await (const _ of by.query('n0', sampleProtocol, encodeSampleRequest({ network: 'test', most, about: [] }), {})) chunks++
      return chunks
    }
    const counts = await Promise.all(Array.from({ length: 300 }, () => ask()))
    expect(counts.filter((count) => count > 1)).toHaveLength(64)
    expect(counts.filter((count) => count === 1)).toHaveLength(64)
    expect(counts.filter((count) => count === 0)).toHaveLength(172)
    // Nor does it get the others' share, be it with requests for no announcement at all.
    await Promise.all(Array.from({ length: 1000 }, () => ask(transport, 0)))
    const honest = world.network.join('honest')
    await honest.start()
    expect(await ask(honest)).toBeGreaterThan(1)
    expect(directory.size).toBe(0)
    sampler[Symbol.dispose]()
  })
})

const big = { gossipBelow: 0 } as const

test('in a network of 2,000 nodes without gossip a requester finds those that fit, at a cost that does not grow with the network', async () => {
  const messages: number[] = []
  for (const nodes of [200, 2000]) {
    const world = await createSimulation({ nodes, settings: big, requesterOnly: true, engines: (index) => (index % 4 === 0 ? ['noop'] : ['other']) })
    const requester = world.node(0)
    const before = world.network.counters()
    expect(before.publications).toBe(0)
    expect(before.queries).toBe(0)
    const jobId = await requester.scheduler.submit(noopJob({ sharding: { count: 200 } }))
    expect(await world.finish(requester, jobId)).toBe('completed')
    const after = world.network.counters()
    messages.push((after.messages - before.messages) / 200)
    // Only the requester asked, once for as many as a few jobs need.
    expect(after.queries).toBeLessThanOrEqual(512)
    expect(world.network.counters('node-0001').queries).toBe(0)
    expect(requester.scheduler.nodes().length).toBeLessThanOrEqual(directoryBound)
    expect(requester.scheduler.nodes().some(({ engines }) => engines.some(({ name }) => name === 'noop'))).toBe(true)
    expect(world.errors).toEqual([])
    await world.stop()
  }
  const [few, many] = messages as [number, number]
  expect(Math.abs(many / few - 1)).toBeLessThan(0.05)
})

test('a job is not hopeless before others were looked for, and is once they were', async () => {
  const world = await createSimulation({ nodes: 60, settings: big, requesterOnly: true, labels: (index) => (index === 59 ? { only: 'me' } : {}) })
  const requester = world.node(0)
  const found = await requester.scheduler.submit(noopJob({ constraints: ['only=me'] }))
  expect(await world.finish(requester, found)).toBe('completed')
  expect(requester.scheduler.result(found)?.shards[0]?.node).toBe('node-0059')
  const hopeless = await requester.scheduler.submit(noopJob({ constraints: ['only=you'] }))
  expect(await world.finish(requester, hopeless, 10_000)).toBe('failed')
  expect(requester.scheduler.job(hopeless)?.failure).toMatchObject({ code: 'no-node', detail: expect.stringContaining('0 of 59 nodes') })
  await world.stop()
})

test('announcements are gossiped while the network is small, and no longer when it has grown', async () => {
  const world = await createSimulation({ nodes: 6, settings: { gossipBelow: 6 } })
  await world.clock.advance(60_000)
  expect(world.network.counters().publications).toBeGreaterThan(6)
  await world.stop()
  const larger = await createSimulation({ nodes: 7, settings: { gossipBelow: 6 } })
  await larger.clock.advance(120_000)
  const before = larger.network.counters().publications
  await larger.clock.advance(600_000)
  expect(larger.network.counters().publications).toBe(before)
  await larger.stop()
})

test('where there are more nodes than a directory holds, an impossible job fails once as many as it holds were asked', async () => {
  const world = await createSimulation({ nodes: 700, record: false, link: { latency: 5 } })
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit(noopJob({ resources: { cpu: 900_000 } }))
  expect(await world.finish(requester, jobId, 20_000)).toBe('failed')
  expect(requester.scheduler.job(jobId)?.failure).toMatchObject({ code: 'no-node', detail: expect.stringContaining('0 of 512 nodes could run this: 512 have') })
  await world.stop()
})
