import { encodeLogEnd, encodeLogFrame, logsProtocol } from '@skrei/protocol'
import type { Transport } from '@skrei/transport'
import { expect, test } from 'vitest'
import type { LogChunk, LogOptions } from '../src/options.ts'
import { createSimulation, type SimulatedNode, type Simulation } from '../src/simulation/index.ts'
import { noopJob } from './noop-job.ts'

const talking = noopJob({ engine: { type: 'noop', duration: 20_000, stdout: 'first ' }, retry: { attempts: 3 } })
const lines = [
  { after: 5000, stream: 'stdout' as const, text: 'second ' },
  { after: 8000, stream: 'stderr' as const, text: 'oh ' },
  { after: 15_000, stream: 'stdout' as const, text: 'third' },
]

/** What a reader has had by now, and how it ended. */
interface Read {
  readonly chunks: LogChunk[]
  ended: 'open' | 'end' | { readonly code: unknown }
}

const read = (node: SimulatedNode, jobId: string, options: LogOptions): Read => {
  const seen: Read = { chunks: [], ended: 'open' }
  const run = async (): Promise<void> => {
    for await (const chunk of node.scheduler.logs(jobId, options)) seen.chunks.push(chunk)
  }
  run().then(
    () => {
      seen.ended = 'end'
    },
    (error: unknown) => {
      seen.ended = { code: (error as { code?: unknown }).code ?? String(error) }
    },
  )
  return seen
}

const textOf = ({ chunks }: Read, stream: 'stdout' | 'stderr', execution?: string): string =>
  chunks
    .filter((chunk) => chunk.stream === stream && (execution === undefined || chunk.execution === execution))
    .map(({ bytes }) => Buffer.from(bytes).toString())
    .join('')

/** No byte twice, none left out. */
const expectContiguous = ({ chunks }: Read): void => {
  const at = new Map<string, number>()
  for (const { execution, stream, offset, bytes } of chunks) {
    const key = `${execution} ${stream}`
    expect(offset).toBe(at.get(key) ?? 0)
    at.set(key, offset + bytes.length)
  }
}

const advance = async (world: Simulation, milliseconds: number): Promise<void> => {
  await world.clock.advance(milliseconds)
  await new Promise((resolve) => setImmediate(resolve))
  await world.clock.advance(10)
}

const begun = async (change: Parameters<typeof createSimulation>[0], job = talking): Promise<readonly [Simulation, SimulatedNode, string]> => {
  const world = await createSimulation({ requesterOnly: true, link: { latency: 5 }, ...change })
  world.interference.lines = () => lines
  return [world, world.node(0), await world.node(0).scheduler.submit(job)]
}

test('a reader that follows has each part when it is written, and all of it at the end', async () => {
  const [world, requester, jobId] = await begun({ nodes: 2 })
  const reader = read(requester, jobId, { follow: true })
  const one = read(requester, jobId, { follow: true, stream: 'stderr' })
  await advance(world, 4000)
  expect([textOf(reader, 'stdout'), textOf(reader, 'stderr'), one.chunks]).toEqual(['first ', '', []])
  await advance(world, 5000)
  expect([textOf(reader, 'stdout'), textOf(reader, 'stderr'), textOf(one, 'stderr')]).toEqual(['first second ', 'oh ', 'oh '])
  await world.finish(requester, jobId)
  await advance(world, 1000)
  expect([reader.ended, one.ended]).toEqual(['end', 'end'])
  expect([textOf(reader, 'stdout'), textOf(reader, 'stderr'), textOf(one, 'stdout')]).toEqual(['first second third', 'oh ', ''])
  expectContiguous(reader)
  const [{ executions } = { executions: [] }] = requester.scheduler.shards(jobId)
  expect(new Set(reader.chunks.map(({ execution, node }) => `${execution} ${node}`))).toEqual(new Set(executions.map(({ id, node }) => `${id} ${node}`)))
  expect(world.errors).toEqual([])
  await world.stop()
})

test('a reader that does not follow has what is there, and goes on from there; after the end from what was published', async () => {
  const [world, requester, jobId] = await begun({ nodes: 2 })
  const early = read(requester, jobId, {})
  await advance(world, 1)
  expect([early.ended, early.chunks]).toEqual(['end', []])
  await advance(world, 7000)
  const now = read(requester, jobId, { shard: 0 })
  await advance(world, 20)
  expect([now.ended, textOf(now, 'stdout'), textOf(now, 'stderr')]).toEqual(['end', 'first second ', ''])
  const { execution = '' } = now.chunks[0] ?? {}
  await advance(world, 3000)
  const later = read(requester, jobId, { from: { execution, stdout: 6, stderr: 0 } })
  await advance(world, 20)
  expect([textOf(later, 'stdout'), textOf(later, 'stderr'), later.chunks[0]?.offset]).toEqual(['second ', 'oh ', 6])
  await world.finish(requester, jobId)
  const end = read(requester, jobId, { from: { execution, stdout: 13, stderr: 3 } })
  const all = read(requester, jobId, { follow: true })
  const other = read(requester, jobId, { from: { execution: 'another', stdout: 13, stderr: 3 } })
  await advance(world, 20)
  expect([textOf(end, 'stdout'), textOf(end, 'stderr'), end.ended]).toEqual(['third', '', 'end'])
  for (const reader of [all, other]) expect([textOf(reader, 'stdout'), textOf(reader, 'stderr'), reader.ended]).toEqual(['first second third', 'oh ', 'end'])
  await world.stop()
})

test('a reader that follows goes on with the next try, also when its node was killed', async () => {
  const [world, requester, jobId] = await begun({ nodes: 3 })
  const reader = read(requester, jobId, { follow: true })
  await advance(world, 7000)
  const first = reader.chunks[0]
  const node = world.nodes.find(({ id }) => id === first?.node)
  node?.crash()
  expect(await world.finish(requester, jobId)).toBe('completed')
  await advance(world, 1000)
  expect(reader.ended).toBe('end')
  expect(textOf(reader, 'stdout', first?.execution)).toBe('first second ')
  const second = reader.chunks.at(-1)
  expect(second?.execution).not.toBe(first?.execution)
  expect(textOf(reader, 'stdout', second?.execution)).toBe('first second third')
  expectContiguous(reader)
  await world.stop()
})

test('a reader that follows goes on where it was when the network was cut for a while', async () => {
  const [world, requester, jobId] = await begun({ nodes: 2, settings: { lease: 60_000 } })
  const reader = read(requester, jobId, { follow: true })
  await advance(world, 2000)
  world.network.partition([[requester.id], [world.node(1).id]])
  await advance(world, 4000)
  expect(textOf(reader, 'stdout')).toBe('first ')
  world.network.heal()
  await world.finish(requester, jobId)
  await advance(world, 1000)
  expect([reader.ended, textOf(reader, 'stdout'), textOf(reader, 'stderr')]).toEqual(['end', 'first second third', 'oh '])
  expectContiguous(reader)
  await world.stop()
})

test('of what is not published nothing is left, unless it was followed; what failed without a result has its logs', async () => {
  const [world, requester, jobId] = await begun({ nodes: 2 }, { ...talking, publisher: [{ type: 'none' }] })
  const reader = read(requester, jobId, { follow: true })
  await world.finish(requester, jobId)
  const late = [read(requester, jobId, {}), read(requester, jobId, { follow: true })]
  await advance(world, 10_000)
  expect([reader.ended, textOf(reader, 'stdout')]).toEqual(['end', 'first second third'])
  expect(late.map(({ ended }) => ended)).toEqual([{ code: 'logs-gone' }, { code: 'logs-gone' }])
  const cancelled = await requester.scheduler.submit(talking)
  const follower = read(requester, cancelled, { follow: true })
  await advance(world, 7000)
  await requester.scheduler.cancel(cancelled)
  expect(await world.finish(requester, cancelled)).toBe('cancelled')
  const after = read(requester, cancelled, {})
  await advance(world, 1000)
  for (const one of [follower, after]) expect([one.ended, textOf(one, 'stdout')]).toEqual(['end', 'first second '])
  await world.stop()
})

test('logs of no job, and of no shard, are refused; a reader ends with its signal, and with the node', async () => {
  const [world, requester, jobId] = await begun({ nodes: 2 })
  await advance(world, 3000)
  const leaving = new AbortController()
  const readers = [
    read(requester, 'job', {}),
    read(requester, jobId, { shard: 1 }),
    read(requester, jobId, { shard: -1, follow: true }),
    read(requester, jobId, { from: { execution: 'x', stdout: -1, stderr: 0 } }),
    read(requester, jobId, { follow: true, signal: leaving.signal }),
    read(requester, jobId, { follow: true }),
  ]
  await advance(world, 100)
  leaving.abort(new Error('enough'))
  await advance(world, 1)
  const range = { code: 'RangeError: from.stdout is -1: a number of bytes' }
  const refused = [{ code: 'no-job' }, { code: 'no-shard' }, { code: 'no-shard' }, range]
  expect(readers.map(({ ended }) => ended)).toEqual([...refused, { code: 'Error: enough' }, 'open'])
  await world.stop()
  await advance(world, 1)
  expect(readers[5]?.ended).toEqual({ code: 'stopped' })
})

/** A node whose logs are whatever it likes. */
const lying = (answer: (asked: number) => AsyncIterable<Uint8Array>) => {
  let asked = 0
  return (transport: Transport, id: string): Transport =>
    id === 'node-0000'
      ? transport
      : { ...transport, serve: (protocol, handler) => transport.serve(protocol, protocol === logsProtocol ? () => answer(asked++) : handler) }
}
const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const lies: Readonly<Record<string, (asked: number) => AsyncIterable<Uint8Array>>> = {
  'more than the job allows': async function* () {
    for (let count = 0; count < 100; count++) yield encodeLogFrame('stdout', new Uint8Array(65_536))
  },
  'what is no frame': async function* () {
    yield Uint8Array.of(9, 255, 255, 255, 255)
  },
  'a frame of no bytes, again and again': async function* () {
    for (let count = 0; count < 100; count++) yield Uint8Array.of(1, 0, 0, 0, 0)
  },
  'a stream that was not asked for': async function* () {
    yield encodeLogFrame('stderr', text('x'))
    yield encodeLogEnd('over')
  },
  'half a frame': async function* () {
    yield encodeLogFrame('stdout', text('first ')).subarray(0, 8)
  },
  nothing: async function* () {},
  'the advice to ask again, again and again': async function* () {
    yield encodeLogEnd('again')
  },
  'that it knows nothing': async function* () {
    yield encodeLogEnd('unknown')
  },
}

test.each(Object.entries(lies))('a node that gives %s costs its reader bounded work, and what was published is read all the same', async (what, answer) => {
  let asked = 0
  const between = lying((count) => {
    asked = count + 1
    return answer(count)
  })
  const job = { ...talking, limits: { stdout: 200_000, stderr: 1000 } }
  const [world, requester, jobId] = await begun({ nodes: 2, between }, job)
  await advance(world, 2000)
  const once = read(requester, jobId, { stream: 'stdout' })
  await advance(world, 100)
  expect(once.ended).toEqual({ code: 'logs-unavailable' })
  const reader = read(requester, jobId, { stream: 'stdout', follow: true })
  await world.finish(requester, jobId)
  await advance(world, 1000)
  expect(reader.ended).toBe('end')
  expect(reader.chunks.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeLessThanOrEqual(200_000)
  expectContiguous(reader)
  // In about 20 seconds, with pauses that double, but for one that gives a little each time.
  expect(asked).toBeLessThan(what === 'half a frame' ? 60 : 10)
  await world.stop()
})

test('a node that does not answer is not waited for by a reader that does not follow', async () => {
  const [world, requester, jobId] = await begun({ nodes: 2, between: lying(() => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) })) })
  await advance(world, 2000)
  const reader = read(requester, jobId, {})
  await advance(world, 10_000)
  expect(reader.ended).toBe('open')
  await advance(world, 25_000)
  expect(reader.ended).toEqual({ code: 'logs-unavailable' })
  await world.stop()
})
