import { randomBytes } from 'node:crypto'
import { Socket } from 'node:net'
import { nodeIdOf } from '@skrei/protocol'
import { expect, test, vi } from 'vitest'
import type { Libp2pTransport } from '../src/index.ts'
import { clock, connected, idOf, node, type Own, portOf, seed } from './nodes.ts'
import { proxyTo } from './proxy.ts'

const pair = async (options: Own = {}) => {
  const b = await node(options)
  await b.start()
  const a = await node({ peers: b.addresses(), ...options })
  await a.start()
  await connected(b, a.self)
  return {
    a,
    b,
    async [Symbol.asyncDispose]() {
      await a[Symbol.asyncDispose]()
      await b[Symbol.asyncDispose]()
    },
  }
}

/** How often the node writes to its streams from now on. */
const writesOf = (transport: Libp2pTransport) => {
  const counted = { writes: 0 }
  for (const connection of transport.libp2p.getConnections()) {
    for (const stream of connection.streams) {
      if (!stream.protocol.startsWith('/skrei/')) continue
      const send = stream.send.bind(stream)
      stream.send = (data) => {
        counted.writes += 1
        return send(data)
      }
    }
  }
  return counted
}

test('the id of a node is the one that the protocol derives from its key', async () => {
  const privateKey = seed()
  await using transport = await node({ privateKey })
  expect(transport.self).toBe(nodeIdOf(transport.libp2p.peerId.publicKey?.raw as Uint8Array))
  expect(transport.self).toBe(await idOf(privateKey))
})

test('two thousand sends at once all arrive, in order, in few writes, over one stream in use', async () => {
  await using nodes = await pair()
  const { a, b } = nodes
  const seen: number[] = []
  b.receive(async (_, [message]) => void seen.push(Buffer.from(message as Uint8Array).readUInt32BE()))
  await a.send(b.self, [new Uint8Array(4)], {})
  const counted = writesOf(a)
  await Promise.all(
    Array.from({ length: 2000 }, (_, index) => {
      const message = Buffer.alloc(4)
      message.writeUInt32BE(index)
      return a.send(b.self, [message], {})
    }),
  )
  expect(seen.slice(1)).toEqual(Array.from({ length: 2000 }, (_, index) => index))
  expect(counted.writes).toBeLessThanOrEqual(2)
})

test('a message and its acknowledgement are one write to a socket each, with no news of room that nobody lacks', async () => {
  await using nodes = await pair({ pingInterval: 60_000 })
  const { a, b } = nodes
  b.receive(async () => {})
  await a.send(b.self, [new Uint8Array(200)], {})
  const write = vi.spyOn(Socket.prototype, 'write')
  try {
    for (let count = 0; count < 100; count += 1) await a.send(b.self, [new Uint8Array(200)], {})
    // libp2p itself may say something meanwhile.
    expect(write.mock.calls.length).toBeLessThan(230)
  } finally {
    write.mockRestore()
  }
})

test('what a handler or a reader keeps holds no other bytes in memory', async () => {
  await using nodes = await pair()
  const { a, b } = nodes
  const kept: Uint8Array[] = []
  b.receive(async (_, messages) => void kept.push(...messages))
  b.onHint((_, hint) => void kept.push(hint))
  b.serve('echo', async function* (_, body) {
    kept.push(body)
    yield body
  })
  a.hint(b.self, new Uint8Array(20))
  await a.send(b.self, [new Uint8Array(30), new Uint8Array(40)], {})
  for await (const chunk of a.query(b.self, 'echo', new Uint8Array(50), {})) kept.push(chunk)
  expect(kept.map(({ length, buffer }) => [length, buffer.byteLength])).toEqual([20, 30, 40, 50, 50].map((size) => [size, size]))
})

test('one too many unacknowledged sends fails at once, and the others arrive', async () => {
  await using nodes = await pair({ limits: { sends: 10 } })
  const { a, b } = nodes
  let release = (): void => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  b.receive(() => released)
  const sends = Array.from({ length: 10 }, () => a.send(b.self, [Uint8Array.of(1)], {}))
  await expect(a.send(b.self, [Uint8Array.of(1)], {})).rejects.toMatchObject({ code: 'unreachable', message: expect.stringContaining('as many as may') })
  release()
  expect(await Promise.all(sends)).toEqual(Array.from({ length: 10 }, () => []))
})

test('an answer of 64 MiB to a slow reader arrives whole, and is never further ahead of it than the window', async () => {
  await using nodes = await pair()
  const { a, b } = nodes
  const chunk = new Uint8Array(randomBytes(64 * 1024))
  let given = 0
  let read = 0
  let furthest = 0
  b.serve('blob', async function* () {
    for (let count = 0; count < 1024; count += 1) {
      given += chunk.length
      yield chunk
    }
  })
  for await (const piece of a.query(b.self, 'blob', new Uint8Array(), {})) {
    furthest = Math.max(furthest, given - read)
    read += piece.length
    if (read % (4 * 1024 * 1024) === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  expect(read).toBe(64 * 1024 * 1024)
  // The window, one chunk that overdraws it, and those that are with the reader and with the handler.
  expect(furthest).toBeLessThanOrEqual(256 * 1024 + 4 * chunk.length)
})

test('a reader that stands still holds up no send and no other query', async () => {
  await using nodes = await pair()
  const { a, b } = nodes
  b.receive(async () => {})
  b.serve('endless', async function* () {
    for (;;) yield new Uint8Array(10_000)
  })
  const endless = a.query(b.self, 'endless', new Uint8Array(), {})[Symbol.asyncIterator]()
  await endless.next()
  for (let round = 0; round < 50; round += 1) expect(await a.send(b.self, [new Uint8Array(100_000)], {})).toEqual([])
  const other = a.query(b.self, 'endless', new Uint8Array(), {})[Symbol.asyncIterator]()
  for (let count = 0; count < 100; count += 1) await other.next()
  await endless.return?.()
  await other.return?.()
})

test('a large answer over a slow way takes longer than any one wait may, and lets a later send through', async () => {
  const timeout = 500
  await using b = await node({ timeout })
  await b.start()
  await using proxy = await proxyTo(() => portOf(b))
  proxy.delay = 20
  await using a = await node({ peers: [`/ip4/127.0.0.1/tcp/${proxy.port}/p2p/${b.self}`], timeout })
  await a.start()
  await connected(b, a.self)
  b.receive(async () => {})
  b.serve('blob', async function* () {
    for (const began = clock.elapsed(); clock.elapsed() - began < 3 * timeout; ) yield new Uint8Array(60_000)
    yield new Uint8Array()
  })
  let ended = false
  const reading = (async () => {
    for await (const piece of a.query(b.self, 'blob', new Uint8Array(), {})) ended = piece.length === 0
  })()
  expect(await a.send(b.self, [Uint8Array.of(1)], {})).toEqual([])
  expect(ended).toBe(false)
  await reading
  expect(ended).toBe(true)
  expect(a.peer(b.self)?.roundTrip).toBeGreaterThanOrEqual(40)
})

test('both sides dial at once: all arrives, and both see the other once', async () => {
  const [keyA, keyB] = [seed(), seed()]
  await using a = await node({ privateKey: keyA })
  await using b = await node({ privateKey: keyB })
  await Promise.all([a.start(), b.start()])
  for (const each of [a, b]) each.receive(async () => {})
  await a.libp2p.peerStore.merge(b.libp2p.peerId, { multiaddrs: b.libp2p.getMultiaddrs() })
  await b.libp2p.peerStore.merge(a.libp2p.peerId, { multiaddrs: a.libp2p.getMultiaddrs() })
  for (let round = 0; round < 5; round += 1)
    await Promise.all(Array.from({ length: 50 }, () => [a.send(b.self, [Uint8Array.of(1)], {}), b.send(a.self, [Uint8Array.of(2)], {})]).flat())
  expect([a.peers(), b.peers()]).toEqual([
    [expect.objectContaining({ id: b.self, connected: true })],
    [expect.objectContaining({ id: a.self, connected: true })],
  ])
})

test('peers are shown in turns where there are more than asked for', async () => {
  const peers = await Promise.all(Array.from({ length: 5 }, async () => `/ip4/127.0.0.1/tcp/1/p2p/${await idOf(seed())}`))
  await using transport = await node({ peers })
  const seen = new Set([0, 1, 2].flatMap(() => transport.peers({ limit: 2 }).map(({ id }) => id)))
  expect(seen.size).toBe(5)
  expect(transport.peerCount()).toBe(5)
})
