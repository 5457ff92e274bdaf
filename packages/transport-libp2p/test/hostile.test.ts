import { randomBytes } from 'node:crypto'
import type { Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, test, vi } from 'vitest'
import { protocolId } from '../src/dial.ts'
import { type FrameWriter, frameWriter, kinds } from '../src/frame.ts'
import type { Libp2pTransport } from '../src/index.ts'
import { clock, connected, idOf, node, type Own, seed } from './nodes.ts'

interface Attack extends AsyncDisposable {
  readonly victim: Libp2pTransport
  readonly evil: Libp2pTransport
  readonly stream: Stream
  readonly faults: string[]
  readonly closed: Promise<void>
  write(frames: (writer: FrameWriter) => void): void
}

/** A node that speaks libp2p as it should, and writes what it likes on its stream to the victim. */
const attack = async (options: Own = {}): Promise<Attack> => {
  const faults: string[] = []
  const victim = await node({ onFault: (error, _, place) => faults.push(`${place}: ${(error as Error).message}`), ...options })
  await victim.start()
  // Its transport is never started: only the libp2p node below is.
  const evil = await node()
  await evil.libp2p.start()
  const connection = await evil.libp2p.dial(victim.addresses().map((address) => multiaddr(address)) as [ReturnType<typeof multiaddr>])
  const stream = await connection.newStream(protocolId)
  const closed = new Promise<void>((resolve) => stream.addEventListener('close', () => resolve(), { once: true }))
  return {
    victim,
    evil,
    stream,
    faults,
    closed,
    write(frames) {
      const writer = frameWriter()
      frames(writer)
      stream.send(writer.take())
    },
    async [Symbol.asyncDispose]() {
      await victim[Symbol.asyncDispose]()
      await evil.libp2p.stop()
    },
  }
}

/** The victim still serves others. */
const worksForOthers = async (victim: Libp2pTransport): Promise<void> => {
  const friend = await node({ peers: victim.addresses() })
  await friend.start()
  const handler = victim.receive(async () => {})
  expect(await friend.send(victim.self, [Uint8Array.of(1)], {})).toEqual([])
  handler[Symbol.dispose]()
  await friend[Symbol.asyncDispose]()
}

const frame =
  (kind: number, ...fields: readonly (number | string | Uint8Array)[]) =>
  (writer: FrameWriter): void => {
    writer.begin(kind)
    for (const field of fields) {
      if (typeof field === 'number') writer.number(field)
      else if (typeof field === 'string') writer.text(field)
      else writer.bytes(field)
    }
    writer.end()
  }

const nonsense: Record<string, readonly [(writer: FrameWriter) => void, string]> = {
  'a frame longer than any may be': [(writer) => writer.bytes(Uint8Array.of(255, 255, 255, 255)), 'a frame of 4294967295 bytes'],
  'an empty frame': [(writer) => writer.bytes(Uint8Array.of(0, 0, 0, 0)), 'a frame of 0 bytes'],
  'an unknown kind': [frame(99), 'unknown kind 99'],
  'the kind of a property that all objects have': [frame(0), 'unknown kind 0'],
  'an acknowledgement of what was never sent': [frame(kinds.ack, 7, 0), 'an answer to 7'],
  'a failure of what was never sent': [frame(kinds.fail, 7, 'refused', 'no'), 'an answer to 7'],
  'a chunk that nobody asked for': [frame(kinds.data, 1, Uint8Array.of(1)), 'an answer to 1'],
  'the end of an answer that nobody asked for': [frame(kinds.end, 1), 'an answer to 1'],
  'credit for a query that was never asked': [frame(kinds.credit, 1, 1), 'more about 1'],
  'an answer to no ping': [frame(kinds.pong, 12), 'an answer to no ping'],
  'a number that does not end': [frame(kinds.ping, new Uint8Array(12).fill(255)), 'too long'],
  'fields that end early': [frame(kinds.send, 1, 1, 100, Uint8Array.of(1)), 'ends early'],
  'more than its fields': [frame(kinds.cancel, 0, Uint8Array.of(1)), 'more about 0'],
  'an id used twice': [
    (writer) => {
      frame(kinds.send, 1, 0)(writer)
      frame(kinds.send, 1, 0)(writer)
    },
    'id 1 after 1',
  ],
  'more messages than one send may have': [frame(kinds.send, 1, 9000, new Uint8Array(9000)), 'a send of 9000 messages'],
  'a name that is too long': [frame(kinds.query, 1, 1, 'x'.repeat(2000)), 'a text of 2000 bytes'],
  'a name that is no text': [frame(kinds.publish, 2, Uint8Array.of(255, 255)), 'not UTF-8'],
}

test.each(Object.entries(nonsense))('%s ends in a closed stream and a reason, and hurts nobody else', async (_, [frames, reason]) => {
  await using attacked = await attack()
  attacked.write(frames)
  await attacked.closed
  expect(attacked.faults).toEqual([expect.stringContaining(reason)])
  expect(attacked.victim.peer(attacked.evil.self)).toBeUndefined()
  await worksForOthers(attacked.victim)
})

test('random bytes, each on a new stream, close it, or are read', async () => {
  await using attacked = await attack()
  const [connection] = attacked.evil.libp2p.getConnections()
  if (!connection) throw new Error('not connected')
  for (let round = 0; round < 60; round += 1) {
    const stream = await connection.newStream(protocolId)
    const closed = new Promise<void>((resolve) => stream.addEventListener('close', () => resolve(), { once: true }))
    const tail = randomBytes(1 + (round % 30))
    stream.send(Uint8Array.of(0, 0, 0, tail.length + 1, 1 + (round % 12), ...tail))
    // What it has read so far made sense to it: this does not.
    if (stream.status === 'open') stream.send(Uint8Array.of(0, 0, 0, 1, 99))
    await closed
  }
  await worksForOthers(attacked.victim)
})

test('half a frame is held for as long as a wait may be, and no longer', async () => {
  await using attacked = await attack({ timeout: 200 })
  // It answers pings: the victim's first has id 1.
  attacked.write((writer) => {
    frame(kinds.pong, 1)(writer)
    writer.bytes(Uint8Array.of(0, 0, 10, 0, kinds.hint))
  })
  await attacked.closed
  expect(attacked.faults).toEqual([expect.stringContaining('not whole')])
})

test('frames that are not whole share one budget', async () => {
  await using attacked = await attack({ limits: { partialBytes: 10_000 } })
  attacked.write((writer) => writer.bytes(Uint8Array.of(0, 1, 0, 0, kinds.hint, ...new Uint8Array(20_000))))
  await attacked.closed
  expect(attacked.faults).toEqual([expect.stringContaining('not whole')])
})

test('a peer that answers no ping is found out', async () => {
  await using attacked = await attack({ timeout: 200 })
  await attacked.closed
  expect(attacked.faults).toEqual([expect.stringContaining('no answer to a ping')])
  // The next dial must not take the dead connection again.
  expect(attacked.victim.libp2p.getConnections()).toEqual([])
})

test('a peer that opens one stream after the other has the last one', async () => {
  await using attacked = await attack()
  const [connection] = attacked.evil.libp2p.getConnections()
  const second = await connection?.newStream(protocolId)
  await attacked.closed
  const heard = new Promise<number>((resolve) => attacked.victim.onHint((_, [first]) => resolve(first as number)))
  second?.send(Uint8Array.of(0, 0, 0, 2, kinds.hint, 5))
  expect(await heard).toBe(5)
  expect(attacked.victim.peers()).toHaveLength(1)
})

test('a stream on which some frame is never whole at the end of what arrives goes on, as long as each is whole in time', async () => {
  const timeout = 200
  await using attacked = await attack({ timeout, pingInterval: 10_000 })
  attacked.write(frame(kinds.pong, 1))
  let heard = (): void => {}
  attacked.victim.onHint(() => heard())
  attacked.stream.send(Uint8Array.of(0, 0))
  for (const began = clock.elapsed(); clock.elapsed() - began < 3 * timeout; ) {
    const hint = new Promise<void>((resolve) => {
      heard = resolve
    })
    attacked.stream.send(Uint8Array.of(0, 2, kinds.hint, 5, 0, 0))
    await hint
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  expect(attacked.stream.status).toBe('open')
  expect(attacked.faults).toEqual([])
})

test('a flood of queries runs no more of them than the limit', async () => {
  await using attacked = await attack({ limits: { queries: 5 } })
  let running = 0
  attacked.victim.serve('live', async function* (_from, _body, { signal }) {
    running += 1
    await new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true }))
    running -= 1
    yield Uint8Array.of(1)
  })
  let refused = 0
  attacked.stream.addEventListener('message', ({ data }) => {
    refused += Buffer.from(data.subarray()).toString('latin1').split('too many queries').length - 1
  })
  attacked.write((writer) => {
    for (let id = 1; id <= 500; id += 1) frame(kinds.query, id, 1000, 'live')(writer)
  })
  await vi.waitFor(() => expect(refused).toBe(495))
  expect(running).toBe(5)
  attacked.stream.abort(new Error('enough'))
  await vi.waitFor(() => expect(running).toBe(0))
})

test('a flood of sends to a handler that does not end calls it no more often than the limit', async () => {
  await using attacked = await attack({ limits: { sends: 7 } })
  let called = 0
  attacked.victim.receive(async () => {
    called += 1
    await new Promise(() => {})
  })
  attacked.write((writer) => {
    for (let id = 1; id <= 500; id += 1) frame(kinds.send, id, 1, 3, Uint8Array.of(1, 2, 3))(writer)
    frame(kinds.hint, Uint8Array.of(9))(writer)
  })
  const heard = new Promise<void>((resolve) => attacked.victim.onHint(() => resolve()))
  await heard
  expect(called).toBe(7)
})

test('a peer that takes no answers is cut off once too many wait for it', async () => {
  await using attacked = await attack({ limits: { maxBytes: 1000, pendingBytes: 1000 }, timeout: 60_000 })
  attacked.stream.pause()
  const pings = frameWriter()
  for (let id = 1; id <= 20_000; id += 1) frame(kinds.ping, 2 ** 40)(pings)
  const many = pings.take()
  for (let round = 0; round < 20 && attacked.stream.status === 'open'; round += 1) {
    attacked.stream.send(many)
    await attacked.stream.onDrain().catch(() => {})
  }
  await attacked.closed
  expect(attacked.faults).toEqual([expect.stringContaining('it takes no answers')])
})

test('an answer that is longer than was asked for closes the stream', async () => {
  await using victim = await node({ limits: { window: 1000 } })
  const evil = await node()
  await evil.libp2p.start()
  await evil.libp2p.handle(protocolId, (stream) => {
    const writer = frameWriter()
    for (let count = 0; count < 100; count += 1) frame(kinds.data, 1, new Uint8Array(100))(writer)
    stream.addEventListener('message', ({ data }) => {
      // The query, and not only a ping before it.
      if (Buffer.from(data.subarray()).includes('greedy')) stream.send(writer.take())
    })
  })
  await victim.start()
  await victim.libp2p.dial(evil.libp2p.getMultiaddrs() as [ReturnType<typeof multiaddr>])
  const read = (async () => {
    for await (const _ of victim.query(evil.self, 'greedy', new Uint8Array(), {})) await new Promise((resolve) => setTimeout(resolve, 1))
  })()
  await expect(read).rejects.toMatchObject({ code: 'unreachable', message: expect.stringContaining('more of an answer than was asked for') })
  await evil.libp2p.stop()
})

test('a send that is never acknowledged fails in time, and other bytes of its peer change nothing', async () => {
  await using victim = await node({ timeout: 200, pingInterval: 10_000 })
  const evil = await node()
  await evil.libp2p.start()
  await evil.libp2p.handle(protocolId, (stream) => {
    stream.addEventListener('message', () => {})
    stream.send(Uint8Array.of(0, 0, 0, 2, kinds.pong, 1))
  })
  await victim.start()
  await victim.libp2p.dial(evil.libp2p.getMultiaddrs() as [ReturnType<typeof multiaddr>])
  await expect(victim.send(evil.self, [Uint8Array.of(1)], {})).rejects.toMatchObject({
    code: 'unreachable',
    message: expect.stringContaining('did not acknowledge'),
  })
  expect(victim.peer(evil.self)?.connected).toBe(true)
  await evil.libp2p.stop()
})

test('of what a peer claims to have refused, only what was sent is believed', async () => {
  await using victim = await node()
  const evil = await node()
  await evil.libp2p.start()
  await evil.libp2p.handle(protocolId, (stream) => {
    const writer = frameWriter()
    frame(kinds.ack, 1, 4, 5, 'no', 'none', 1, 'x'.repeat(200), 'y'.repeat(1000), 1, 'again', '', 0, 'bad', 'it is')(writer)
    stream.addEventListener('message', ({ data }) => {
      if (Buffer.from(data.subarray()).includes('message')) stream.send(writer.take())
    })
  })
  await victim.start()
  await victim.libp2p.dial(evil.libp2p.getMultiaddrs() as [ReturnType<typeof multiaddr>])
  expect(await victim.send(evil.self, [Buffer.from('message'), Buffer.from('message')], {})).toEqual([
    { index: 0, code: 'bad', reason: 'it is' },
    { index: 1, code: 'x'.repeat(64), reason: 'y'.repeat(256) },
  ])
  await evil.libp2p.stop()
})

test('more peers than the limit are turned away, and configured ones are not', async () => {
  const key = seed()
  const faults: string[] = []
  await using victim = await node({
    limits: { peers: 1 },
    peers: [`/ip4/127.0.0.1/tcp/1/p2p/${await idOf(key)}`],
    onFault: (error, _, place) => faults.push(`${place}: ${(error as Error).message}`),
  })
  await victim.start()
  const peers = victim.addresses()
  await using first = await node({ peers })
  await first.start()
  await connected(victim, first.self)
  await using second = await node({ peers })
  await second.start()
  await vi.waitFor(() => expect(faults).toContain('stream: too many peers'))
  await using known = await node({ privateKey: key, peers })
  await known.start()
  await connected(victim, known.self)
  expect(victim.peer(second.self)).toBeUndefined()
})

test('what several peers leave to be worked on is bounded together, and those who send little are still heard', async () => {
  const limits = { maxBytes: 100_000, pendingBytes: 150_000, workingBytes: 200_000 }
  await using attacked = await attack({ limits, timeout: 60_000 })
  const { victim } = attacked
  victim.serve('/never', async function* () {
    yield Uint8Array.of(1)
  })
  // Who gives no credit is never done with.
  attacked.write(frame(kinds.query, 1, 0, '/never', new Uint8Array(90_000)))
  await using other = await node({ peers: victim.addresses(), limits, timeout: 60_000 })
  await other.start()
  const { promise: ending, resolve: end } = Promise.withResolvers<void>()
  const handler = victim.receive(() => ending)
  const sent = other.send(victim.self, [new Uint8Array(90_000)], {})
  await connected(victim, other.self)
  await using friend = await node({ peers: victim.addresses(), limits, timeout: 60_000 })
  await friend.start()
  await vi.waitFor(() => expect(friend.send(victim.self, [new Uint8Array(90_000)], {})).rejects.toMatchObject({ code: 'refused' }), { timeout: 20_000 })
  const little = friend.send(victim.self, [new Uint8Array(1000)], {})
  end()
  expect(await little).toEqual([])
  expect(await sent).toEqual([])
  expect(await friend.send(victim.self, [new Uint8Array(90_000)], {})).toEqual([])
  handler[Symbol.dispose]()
})
