import { createHash, randomBytes } from 'node:crypto'
import type { Connection, Stream } from '@libp2p/interface'
import type { Libp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { expect, test, vi } from 'vitest'
import { encodeMessage, type Message, messageReader, noMessage, receiveBudget } from '../src/exchange/message.ts'
import type { Blockstore } from '../src/index.ts'
import { libp2pNetwork } from './libp2p-network.ts'
import { collect, scratch, sha256 } from './scratch.ts'

const protocol = '/ipfs/bitswap/1.2.0'
const rawCid = (content: Uint8Array | string): CID => CID.createV1(0x55, createDigest(0x12, sha256(Buffer.from(content))))
const rawPrefix = Uint8Array.from([1, 0x55, 0x12, 32])
const wants = (cids: readonly CID[], block = true) => cids.map((cid) => ({ cid: cid.bytes, block, tellMissing: true, cancel: false }))

const say = async (connection: Connection, message: Message): Promise<void> => {
  const out = await connection.newStream(protocol)
  out.send(encodeMessage(message))
  await out.close()
}

/** A peer that speaks bitswap as it likes: it hears what it is sent, and answers what `answer` says. */
const peerOf = async (node: Libp2p, answer: (message: Message, reply: (message: Message) => void) => void = () => {}) => {
  const heard: Message[] = []
  const open = async (other: Libp2p): Promise<Stream> => node.dialProtocol(other.getMultiaddrs(), protocol)
  await node.handle(protocol, (stream, connection) => {
    const reader = messageReader(receiveBudget(1e9))
    stream.addEventListener('message', ({ data }) => {
      for (const message of reader.push(data.subarray())) {
        heard.push(message)
        // When the test is over it is heard by nobody.
        answer(message, (said) => void say(connection, said).catch(() => undefined))
      }
    })
    void stream.close()
  })
  return { heard, open }
}

const closed = (stream: Stream): Promise<unknown> => new Promise((resolve) => stream.addEventListener('close', resolve, { once: true }))

test('what is no message, is too long, or has too many entries ends the stream, and the node goes on', async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const [a, b] = [await network.node(), await network.node()]
  const storage = await tools.storage({ libp2p: a })
  const peer = await peerOf(b)
  await network.connect(b, a)
  const content = Buffer.from('held')
  await storage.blockstore.put(rawCid(content), content)
  const bad: Record<string, Uint8Array> = {
    'no message': Buffer.from([5, 0xff, 0xff, 0xff, 0xff, 0xff]),
    'a length of 64 MiB': Buffer.from([0x80, 0x80, 0x80, 0x20]),
    'a length without end': Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    'no CID': encodeMessage({ ...noMessage, wants: [{ cid: Buffer.from('no cid'), block: true, tellMissing: true, cancel: false }] }),
    'a CID of a mebibyte': encodeMessage({ ...noMessage, wants: wants([CID.createV1(0x55, createDigest(0, Buffer.alloc(1024 * 1024)))]) }),
    'a presence of no CID': encodeMessage({ ...noMessage, presences: [{ cid: Buffer.from([1]), has: true }] }),
    'ten thousand entries': encodeMessage({ ...noMessage, wants: wants(Array.from({ length: 10_000 }, () => rawCid('x'))) }),
  }
  for (const [what, bytes] of Object.entries(bad)) {
    const stream = await peer.open(a)
    const end = closed(stream)
    stream.send(bytes)
    await end
    expect(`${what}: ${stream.status}`).toBe(`${what}: reset`)
  }
  const stream = await peer.open(a)
  stream.send(encodeMessage({ ...noMessage, wants: wants([rawCid(content)]) }))
  await vi.waitFor(() => expect(peer.heard.flatMap(({ blocks }) => blocks.map(({ data }) => Buffer.from(data).toString()))).toEqual(['held']), 20_000)
})

test('a peer that sends other bytes than those of the block, or says that it has it and gives nothing, is passed over', async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const [self, liar, silent, honest] = [await network.node(), await network.node(), await network.node(), await network.node()]
  const near = await tools.storage({ directory: tools.fresh(), libp2p: self })
  const lies = await peerOf(liar, ({ wants: asked }, reply) => {
    reply({
      ...noMessage,
      blocks: asked.map(() => ({ prefix: rawPrefix, data: Buffer.from('other bytes') })),
      presences: asked.map(({ cid }) => ({ cid, has: true })),
    })
  })
  const nothing = await peerOf(silent, ({ wants: asked }, reply) => {
    reply({ ...noMessage, presences: asked.filter(({ block }) => !block).map(({ cid }) => ({ cid, has: true })) })
  })
  const far = await tools.storage({ directory: tools.fresh(), libp2p: honest })
  await network.connect(self, liar)
  await network.connect(self, silent)
  await network.connect(self, honest)
  const content = Buffer.from('the true bytes')
  await far.blockstore.put(rawCid(content), content)
  expect(await collect(near.source.list({ type: 'ipfs', cid: rawCid(content).toString() }))).toMatchObject([{ size: content.length }])
  expect(lies.heard.length + nothing.heard.length).toBeGreaterThan(0)
  expect(await near.source.assess({ type: 'ipfs', cid: rawCid('other bytes').toString() })).toMatchObject({ held: false })
})

test('of many peers that say that they have a block and give nothing, none keeps it from coming from one that does', async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const self = await network.node()
  const near = await tools.storage({ directory: tools.fresh(), libp2p: self })
  for (let index = 0; index < 8; index += 1) {
    const silent = await network.node()
    await peerOf(silent, ({ wants: asked }, reply) => {
      reply({ ...noMessage, presences: asked.filter(({ block }) => !block).map(({ cid }) => ({ cid, has: true })) })
    })
    await network.connect(self, silent)
  }
  const honest = await network.node()
  const far = await tools.storage({ directory: tools.fresh(), libp2p: honest })
  await network.connect(self, honest)
  const content = Buffer.from('the one that does')
  await far.blockstore.put(rawCid(content), content)
  expect(await collect(near.source.list({ type: 'ipfs', cid: rawCid(content).toString() }))).toMatchObject([{ size: content.length }])
})

test.each(['the answer', 'the question'] as const)('where the stream with %s breaks off, the peer is asked again, once', async (what) => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const [self, other] = [await network.node(), await network.node()]
  // Long enough that nothing is asked again for want of an answer in time.
  const near = await tools.storage({ libp2p: self, blockTimeout: 3_600_000 })
  const cid = rawCid('block')
  const answer: Message = { ...noMessage, blocks: [{ prefix: rawPrefix, data: Buffer.from('block') }] }
  let questions = 0
  await other.handle(protocol, (stream, connection) => {
    const reader = messageReader(receiveBudget(1e9))
    stream.addEventListener('message', async ({ data }) => {
      for (const { wants: asked } of reader.push(data.subarray())) {
        if (asked.length === 0) continue
        questions += 1
        if (questions > 1) await say(connection, answer)
        else if (what === 'the question') stream.abort(new Error('broken off'))
        else {
          const out = await connection.newStream(protocol)
          out.send(encodeMessage(answer).subarray(0, 3))
          out.abort(new Error('broken off'))
        }
      }
    })
  })
  await network.connect(self, other)
  expect(await collect(near.source.list({ type: 'ipfs', cid: cid.toString() }))).toMatchObject([{ size: 5 }])
  expect(questions).toBe(2)
})

test('a block of which every peer says that it has it and none gives it ends in time', async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const [self, silent] = [await network.node(), await network.node()]
  const near = await tools.storage({ libp2p: self, blockTimeout: 500 })
  await peerOf(silent)
  await network.connect(self, silent)
  const listing = collect(near.source.list({ type: 'ipfs', cid: rawCid('never').toString() }))
  await expect(listing).rejects.toMatchObject({ code: 'source-unreachable', message: expect.stringContaining('within 500 ms') })
})

test('of a peer that takes nothing, few blocks are read, however many it asks for', async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const [a, b] = [await network.node(), await network.node()]
  let reads = 0
  const content = new Map(Array.from({ length: 60 }, () => randomBytes(1024 * 1024)).map((bytes) => [rawCid(bytes).toString(), bytes]))
  const blockstore: Blockstore = {
    get: function* (cid) {
      reads += 1
      yield content.get(cid.toString()) ?? new Uint8Array()
    },
    has: (cid) => content.has(cid.toString()),
    put: (cid) => cid,
  }
  await tools.storage({ libp2p: a, blockstore })
  const full = Promise.withResolvers<void>()
  // It lets the stream fill up.
  await b.handle(protocol, (stream) => {
    stream.pause()
    full.resolve()
  })
  await network.connect(b, a)
  const stream = await b.dialProtocol(a.getMultiaddrs(), protocol)
  stream.send(encodeMessage({ ...noMessage, wants: wants([...content.keys()].map((cid) => CID.parse(cid))) }))
  await full.promise
  // Another peer is answered all the same.
  const other = await network.node()
  const peer = await peerOf(other)
  await network.connect(other, a)
  const first = [...content.keys()][0] ?? ''
  const asking = await peer.open(a)
  asking.send(encodeMessage({ ...noMessage, wants: wants([CID.parse(first)]) }))
  await vi.waitFor(() => expect(peer.heard.flatMap(({ blocks }) => blocks).length).toBe(1), 20_000)
  expect(reads).toBeLessThan(10)
})

test('a message that comes byte by byte is read, and what is held of unfinished ones is bounded and given back', () => {
  const message: Message = { ...noMessage, all: true, wants: wants([rawCid('a'), rawCid('b')]), blocks: [{ prefix: rawPrefix, data: randomBytes(300) }] }
  const bytes = encodeMessage(message)
  const budget = receiveBudget(1000)
  const reader = messageReader(budget)
  const read: Message[] = []
  for (const byte of Buffer.concat([bytes, bytes, bytes])) read.push(...reader.push(Uint8Array.of(byte)))
  expect(read.length).toBe(3)
  expect(read[2]?.wants.map(({ cid }) => Buffer.from(cid).toString('hex'))).toEqual(message.wants.map(({ cid }) => Buffer.from(cid).toString('hex')))
  expect(
    createHash('sha256')
      .update(read[2]?.blocks[0]?.data ?? '')
      .digest('hex'),
  ).toBe(
    createHash('sha256')
      .update(message.blocks[0]?.data ?? '')
      .digest('hex'),
  )
  expect(reader.partial()).toBe(false)
  // 600 bytes of each of two: the second is too much, until the first is let go of.
  const large = encodeMessage({ ...noMessage, blocks: [{ prefix: rawPrefix, data: randomBytes(2000) }] }).subarray(0, 600)
  const [one, two] = [messageReader(budget), messageReader(budget)]
  one.push(large)
  expect(one.partial()).toBe(true)
  expect(() => two.push(large)).toThrow('too much')
  two.close()
  one.close()
  expect(messageReader(budget).push(large)).toEqual([])
})

test('operations whose blocks never come keep no other from its blocks, however many they wait for', async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const [self, other] = [await network.node(), await network.node()]
  const near = await tools.storage({ directory: tools.fresh(), libp2p: self, blockTimeout: 600_000 })
  const contents = Array.from({ length: 20 }, (_, index) => Buffer.from(`given ${index}`))
  const given = new Map(contents.map((content) => [rawCid(content).toString(), content]))
  const asked = new Set<string>()
  await peerOf(other, ({ wants: entries }, reply) => {
    for (const { cid } of entries) asked.add(CID.decode(cid).toString())
    const blocks = entries.flatMap(({ cid }) => given.get(CID.decode(cid).toString()) ?? []).map((data) => ({ prefix: rawPrefix, data }))
    if (blocks.length > 0) reply({ ...noMessage, blocks })
  })
  await network.connect(self, other)
  const reference = (content: string | Uint8Array) => ({ type: 'ipfs', cid: rawCid(content).toString() }) as const
  const ends = new AbortController()
  const stuck = Array.from({ length: 8 }, (_, which) => {
    const entries = async function* () {
      for (let index = 0; index < 16; index += 1) yield { path: String(index), content: reference(`never ${which} ${index}`) }
    }
    return near.publisher.compose(`stuck-${which}`, entries(), { signal: ends.signal }).catch(() => undefined)
  })
  // Their own places, and all that are shared.
  await vi.waitFor(() => expect(asked.size).toBe(8 * 4 + 64), 20_000)
  for (const content of contents) expect(await collect(near.source.list(reference(content)))).toMatchObject([{ size: content.length }])
  ends.abort()
  await Promise.all(stuck)
})
