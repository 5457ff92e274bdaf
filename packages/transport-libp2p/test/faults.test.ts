import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { expect, test, vi } from 'vitest'
import { libp2pTransport } from '../src/index.ts'
import { clock, connected, idOf, node, portOf, seed } from './nodes.ts'
import { proxyTo } from './proxy.ts'

test('a configured peer whose connection is cut is dialled again, and what waited for it fails as unreachable', async () => {
  await using b = await node()
  await b.start()
  await using proxy = await proxyTo(() => portOf(b))
  await using a = await node({ peers: [`/ip4/127.0.0.1/tcp/${proxy.port}/p2p/${b.self}`] })
  await a.start()
  for (let round = 0; round < 5; round += 1) {
    let reached = (): void => {}
    const arrived = new Promise<void>((resolve) => {
      reached = resolve
    })
    const holding = b.receive(async () => {
      reached()
      await new Promise(() => {})
    })
    await connected(a, b.self)
    const sent = expect(a.send(b.self, [Uint8Array.of(1)], {})).rejects.toMatchObject({ code: 'unreachable' })
    await arrived
    proxy.cut()
    await sent
    holding[Symbol.dispose]()
  }
  b.receive(async () => {})
  await connected(a, b.self)
  expect(await a.send(b.self, [Uint8Array.of(1)], {})).toEqual([])
})

test('a peer that is away is dialled for as long as it takes, with waits that grow to the longest', async () => {
  const b = await node()
  await b.start()
  await using proxy = await proxyTo(() => portOf(b))
  proxy.open = false
  const faults: string[] = []
  const waits: number[] = []
  await using a = await libp2pTransport({
    privateKey: seed(),
    timeout: 2000,
    // All that this transport waits for so short a time is its next dial.
    clock: {
      ...clock,
      at(time, run) {
        const wait = Math.round(time - clock.now())
        if (wait <= 20) waits.push(wait)
        return clock.at(time, run)
      },
    },
    random: () => 0,
    peers: [`/ip4/127.0.0.1/tcp/${proxy.port}/p2p/${b.self}`],
    backoff: { first: 1, longest: 20 },
    onFault: (error, _, place) => faults.push(`${place} ${(error as { code?: string }).code}`),
  })
  await a.start()
  await vi.waitFor(() => expect(proxy.connections).toBeGreaterThan(12), { timeout: 20_000 })
  expect(a.peer(b.self)).toEqual({ id: b.self, connected: false })
  expect(waits.slice(0, 8)).toEqual([1, 2, 4, 8, 16, 20, 20, 20])
  expect(new Set(faults)).toEqual(new Set(['dial unreachable']))
  proxy.open = true
  await connected(a, b.self)
  await b[Symbol.asyncDispose]()
})

test('a peer that restarts with the same key and port is found again, from both sides', async () => {
  const privateKey = seed()
  const first = await node({ privateKey })
  await first.start()
  const port = portOf(first)
  await using a = await node({ peers: first.addresses() })
  await a.start()
  await connected(a, first.self)
  await first[Symbol.asyncDispose]()
  await vi.waitFor(() => expect(a.peer(first.self)?.connected).toBe(false))
  await using second = await node({ privateKey, listen: [`/ip4/127.0.0.1/tcp/${port}`] })
  await second.start()
  second.receive(async () => {})
  a.receive(async () => {})
  await connected(a, second.self)
  await connected(second, a.self)
  expect(await a.send(second.self, [Uint8Array.of(1)], {})).toEqual([])
  expect(await second.send(a.self, [Uint8Array.of(1)], {})).toEqual([])
})

test('a way that falls silent is found out by a ping, and the next dial takes a new connection', async () => {
  await using b = await node()
  await b.start()
  b.receive(async () => {})
  await using dead = await proxyTo(() => portOf(b))
  const a = await node({ peers: [`/ip4/127.0.0.1/tcp/${dead.port}/p2p/${b.self}`, ...b.addresses()], timeout: 300, pingInterval: 100 })
  await a.start()
  await connected(a, b.self)
  dead.silence()
  await vi.waitFor(async () => expect(await a.send(b.self, [Uint8Array.of(1)], {})).toEqual([]), { timeout: 20_000 })
  await a[Symbol.asyncDispose]()
})

test('another version is refused with a code and both versions, and one that speaks none likewise', async () => {
  for (const [protocols, said] of [
    [['/skrei/2/transport', '/skrei/3/transport'], 'this node speaks version 1 of /skrei/N/transport, THEM version 2, 3'],
    [[], 'this node speaks version 1 of /skrei/N/transport, THEM no version of it'],
  ] as const) {
    const other = await createLibp2p({
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      services: { identify: identify() },
    })
    for (const protocol of protocols) await other.handle(protocol, () => {})
    const id = other.peerId.toString()
    await using a = await node({ peers: other.getMultiaddrs().map((address) => address.toString()) })
    await a.start()
    await expect(a.send(id, [Uint8Array.of(1)], {})).rejects.toMatchObject({ code: 'unsupported-version', message: said.replace('THEM', id) })
    await other.stop()
  }
})

test('a node with another key than the one dialled is not taken for it', async () => {
  await using b = await node()
  await b.start()
  let heard = 0
  b.receive(async () => {
    heard += 1
  })
  const claimed = await idOf(seed())
  await using a = await node({ peers: [`/ip4/127.0.0.1/tcp/${portOf(b)}/p2p/${claimed}`] })
  await a.start()
  await expect(a.send(claimed, [Uint8Array.of(1)], {})).rejects.toMatchObject({ code: 'unreachable' })
  expect(a.peer(claimed)?.connected).toBe(false)
  expect(heard).toBe(0)
})

test('a libp2p node that is given is used, and left running', async () => {
  await using b = await node()
  await b.start()
  b.receive(async () => {})
  const libp2p = await createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify() },
    connectionGater: { denyDialMultiaddr: () => false },
  })
  for (let round = 0; round < 2; round += 1) {
    await using a = await libp2pTransport({ libp2p, clock, peers: b.addresses(), timeout: 2000 })
    expect(a.self).toBe(libp2p.peerId.toString())
    await a.start()
    expect(await a.send(b.self, [Uint8Array.of(1)], {})).toEqual([])
    // The other way, over the connection that is there.
    a.receive(async () => {})
    await connected(b, a.self)
    expect(await b.send(a.self, [Uint8Array.of(1)], {})).toEqual([])
  }
  expect(libp2p.status).toBe('started')
  expect(libp2p.getProtocols()).not.toContain('/skrei/1/transport')
  await libp2p.stop()
})

test('what waits when the transport is disposed fails as unreachable', async () => {
  await using b = await node()
  await b.start()
  let reached = (): void => {}
  const arrived = new Promise<void>((resolve) => {
    reached = resolve
  })
  b.receive(async () => {
    reached()
    await new Promise(() => {})
  })
  b.serve('live', async function* (_from, _body, { signal }) {
    yield Uint8Array.of(1)
    await new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true }))
  })
  const a = await node({ peers: b.addresses() })
  await a.start()
  const chunks = a.query(b.self, 'live', new Uint8Array(), {})[Symbol.asyncIterator]()
  await chunks.next()
  const waiting = [a.send(b.self, [Uint8Array.of(1)], {}), chunks.next()].map((each) => expect(each).rejects.toMatchObject({ code: 'unreachable' }))
  await arrived
  await a[Symbol.asyncDispose]()
  await Promise.all(waiting)
})

test('a start that fails leaves nothing behind, and may be tried again', async () => {
  await using taken = await node()
  await taken.start()
  await using a = await node({ listen: [`/ip4/127.0.0.1/tcp/${portOf(taken)}`] })
  await expect(a.start()).rejects.toThrow()
  await expect(a.send(taken.self, [Uint8Array.of(1)], {})).rejects.toMatchObject({ code: 'not-started' })
  await expect(a.start({ signal: AbortSignal.abort(new Error('stop')) })).rejects.toThrow('stop')
  await taken[Symbol.asyncDispose]()
  await a.start()
  await expect(a.send(taken.self, [Uint8Array.of(1)], {})).rejects.toMatchObject({ code: 'unknown-peer' })
})

test('options that make no sense are refused before anything starts', async () => {
  const [privateKey, id] = [seed(), await idOf(seed())]
  for (const options of [
    { privateKey: new Uint8Array(31) },
    { privateKey, peers: ['/ip4/127.0.0.1/tcp/1'] },
    { privateKey, peers: [`/ip4/127.0.0.1/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N`] },
    { privateKey, peers: [`/ip4/127.0.0.1/tcp/1/p2p/${id}/p2p-circuit`] },
    { privateKey, timeout: 0 },
    { privateKey, backoff: { first: -1 } },
    { privateKey, limits: { maxBytes: 0.5 } },
    { privateKey, limits: { maxBytes: 1000, pendingBytes: 999 } },
  ])
    await expect(libp2pTransport({ clock, ...options })).rejects.toThrow(RangeError)
})
