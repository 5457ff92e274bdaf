import { createCipheriv } from 'node:crypto'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { failureOf } from '@skrei/job-spec'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { expect, test, vi } from 'vitest'
// The package exports only what puts it into a helia with a libp2p node of its own.
import { BitswapBlockBroker } from '../node_modules/@helia/bitswap/dist/src/block-broker.js'
import type { Blockstore } from '../src/index.ts'
import { libp2pNetwork } from './libp2p-network.ts'
import { asFound, cidOf, collect, fetched, longName, scratch, sha256 } from './scratch.ts'

const large = createCipheriv('chacha20', Buffer.alloc(32), Buffer.alloc(16)).update(Buffer.alloc(5 * 1024 * 1024 + 7))
const rawCid = (content: Uint8Array | string): CID => CID.createV1(0x55, createDigest(0x12, sha256(Buffer.from(content))))

/** A store in memory that counts what is read of it. */
const memory = () => {
  const blocks = new Map<string, Uint8Array>()
  const reads: string[] = []
  const blockstore: Blockstore = {
    get: function* (cid) {
      reads.push(cid.toString())
      const bytes = blocks.get(cid.toString())
      if (bytes === undefined) throw new Error('not here')
      yield bytes
    },
    has: (cid) => blocks.has(cid.toString()),
    put: (cid, bytes) => {
      blocks.set(cid.toString(), Buffer.from(bytes))
      return cid
    },
  }
  return { blocks, blockstore, reads }
}

const outcome = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'done',
    (error: unknown) => failureOf(error)?.code ?? (error instanceof Error && 'code' in error ? error.code : error),
  )

test('what one node published is listed, staged and fetched by another that holds nothing, and is held there then', async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const [a, b] = [await network.node(), await network.node()]
  const near = await tools.storage({ directory: tools.fresh(), libp2p: a })
  const far = await tools.storage({ directory: tools.fresh(), libp2p: b })
  await network.connect(a, b)
  const many = Object.fromEntries(Array.from({ length: 1100 }, (_, index) => [`many/${longName(index)}`, `${index}`]))
  const tree = { 'a/large': large, 'b/c': 'some text', ...many }
  const reference = await far.publisher.publish('job', await tools.make(tree), {})
  const source = { type: 'ipfs', cid: cidOf(reference) } as const
  expect(await near.source.assess(source)).toEqual({ held: false, refusals: [] })
  const listed = await collect(near.source.list(source))
  expect(listed.length).toBe(1102)
  const entry = listed.find(({ path }) => path === 'a/large')
  if (entry === undefined) throw new Error('not listed')
  // Its root was read when it was listed.
  expect(await near.source.assess(entry.source)).toEqual({ bytes: large.length, held: false, refusals: [] })
  await collect(near.source.stage(entry, tools.fresh(), { maxBytes: 1e9 }))
  expect(await near.source.assess(entry.source)).toEqual({ bytes: large.length, held: true, refusals: [] })
  expect((await near.source.assess(source)).held).toBe(false)
  expect(await fetched(near, source.cid, tools.fresh())).toEqual(asFound(tree))
  await far.stop()
  expect((await near.source.assess(source)).held).toBe(true)
})

test('assessing asks no peer, also for a tree of which only a part is held', async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const [a, b] = [await network.node(), await network.node()]
  const remote = memory()
  const near = await tools.storage({ directory: tools.fresh(), libp2p: a })
  const far = await tools.storage({ directory: tools.fresh(), libp2p: b, blockstore: remote.blockstore })
  await network.connect(a, b)
  const reference = await far.publisher.publish('job', await tools.make({ 'a/b/c': 'deep', d: large }), {})
  const source = { type: 'ipfs', cid: cidOf(reference) } as const
  // The root, and with it nothing of what it leads to.
  for await (const _file of near.publisher.read(reference, { path: 'none' }));
  remote.reads.length = 0
  expect(await near.source.assess(source)).toEqual({ held: false, refusals: [] })
  expect(remote.reads).toEqual([])
})

test('of three nodes each gives the others what it holds: a tree whose parts lie on two nodes is composed and fetched', async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const nodes = [await network.node(), await network.node(), await network.node()] as const
  const [one, two, three] = [
    await tools.storage({ directory: tools.fresh(), libp2p: nodes[0] }),
    await tools.storage({ directory: tools.fresh(), libp2p: nodes[1] }),
    await tools.storage({ directory: tools.fresh(), libp2p: nodes[2] }),
  ]
  await network.connect(nodes[0], nodes[1])
  await network.connect(nodes[0], nodes[2])
  const left = await two.publisher.publish('left', await tools.make({ a: large, b: 'left' }), {})
  const right = await three.publisher.publish('right', await tools.make({ c: 'right', 'd/e': large.subarray(1) }), {})
  async function* entries() {
    yield { path: 'shards/0', content: left }
    yield { path: 'shards/1', content: right }
  }
  const whole = cidOf(await one.publisher.compose('whole', entries(), {}))
  const expected = asFound({ 'shards/0/a': large, 'shards/0/b': 'left', 'shards/1/c': 'right', 'shards/1/d/e': large.subarray(1) })
  expect(await fetched(one, whole, tools.fresh())).toEqual(expected)
  // The second reaches the third only through what the first has got meanwhile.
  expect(await fetched(two, whole, tools.fresh())).toEqual(expected)
})

test('a block of one holder among several peers is sent once', async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const self = await network.node()
  const near = await tools.storage({ directory: tools.fresh(), libp2p: self })
  const stores = [memory(), memory(), memory()]
  for (const { blockstore } of stores) {
    const peer = await network.node()
    const far = await tools.storage({ directory: tools.fresh(), libp2p: peer, blockstore })
    await network.connect(self, peer)
    await far.publisher.publish('job', await tools.make({ large }), {})
    await far.publisher.unpublish('job')
  }
  const cids = [...(stores[0]?.blocks.keys() ?? [])]
  for (const { reads } of stores) reads.length = 0
  const root = cids.at(-1) ?? ''
  expect(await fetched(near, root, tools.fresh())).toEqual(asFound({ large }))
  const reads = stores.flatMap((store) => store.reads)
  expect(reads.length).toBe(cids.length)
})

test('a block that nobody has ends as source-unreachable, and says how many were asked', async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const [a, b] = [await network.node(), await network.node()]
  const near = await tools.storage({ directory: tools.fresh(), libp2p: a })
  const source = { type: 'ipfs', cid: rawCid('nobody has this').toString() } as const
  const error: unknown = await collect(near.source.list(source)).catch((thrown: unknown) => thrown)
  expect(failureOf(error)).toMatchObject({ code: 'source-unreachable', detail: expect.stringContaining('no peer that exchanges blocks is connected') })
  await tools.storage({ directory: tools.fresh(), libp2p: b })
  await network.connect(a, b)
  const told: unknown = await collect(near.source.list(source)).catch((thrown: unknown) => thrown)
  expect(failureOf(told)).toMatchObject({ code: 'source-unreachable', detail: expect.stringContaining('none of 1 connected peers has it') })
  const reference = { type: 'ipfs', cid: source.cid }
  expect(await outcome(collect(near.publisher.read(reference, {})))).toBe('block-unreachable')
})

test('many wants of one block ask for it once, and the end of one does not end the others', async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const [a, b] = [await network.node(), await network.node()]
  const remote = memory()
  const near = await tools.storage({ directory: tools.fresh(), libp2p: a })
  const asked = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const far = await tools.storage({
    directory: tools.fresh(),
    libp2p: b,
    blockstore: {
      ...remote.blockstore,
      get: async function* (cid, options) {
        asked.resolve()
        await gate.promise
        yield* remote.blockstore.get(cid, options)
      },
    },
  })
  await network.connect(a, b)
  const content = Buffer.from('wanted by many')
  await far.blockstore.put(rawCid(content), content)
  const source = { type: 'ipfs', cid: rawCid(content).toString() } as const
  const controller = new AbortController()
  const reason = new Error('given up')
  const given = collect(near.source.list(source, { signal: controller.signal }))
  const others = Array.from({ length: 10 }, () => collect(near.source.list(source)))
  const ended = expect(given).rejects.toBe(reason)
  await asked.promise
  controller.abort(reason)
  await ended
  gate.resolve()
  for (const listed of await Promise.all(others)) expect(listed).toMatchObject([{ size: content.length }])
  expect(remote.reads).toEqual([source.cid])
})

test('a peer that comes while a block is waited for is asked for it', async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const [a, b] = [await network.node(), await network.node()]
  const near = await tools.storage({ directory: tools.fresh(), libp2p: a, blockTimeout: 60_000 })
  const far = await tools.storage({ directory: tools.fresh(), libp2p: b })
  const content = Buffer.from('comes late')
  await far.blockstore.put(rawCid(content), content)
  const listing = collect(near.source.list({ type: 'ipfs', cid: rawCid(content).toString() }))
  await network.connect(a, b)
  expect(await listing).toMatchObject([{ size: content.length }])
})

test('peers that were connected before their storages started exchange blocks, and one that speaks no bitswap is no obstacle', async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const [a, b, other] = [await network.node(), await network.node(), await network.node()]
  await network.connect(a, other)
  await network.connect(b, a)
  const far = await tools.storage({ directory: tools.fresh(), libp2p: b })
  const near = await tools.storage({ directory: tools.fresh(), libp2p: a })
  const tree = { a: 'some text', b: large }
  const cid = cidOf(await far.publisher.publish('job', await tools.make(tree), {}))
  expect(await fetched(near, cid, tools.fresh())).toEqual(asFound(tree))
})

test('the largest blocks come together with small ones', async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const [a, b] = [await network.node(), await network.node()]
  const near = await tools.storage({ directory: tools.fresh(), libp2p: a })
  const far = await tools.storage({ directory: tools.fresh(), libp2p: b })
  await network.connect(a, b)
  const blocks = [400_000, 4 * 1024 * 1024, 1, 500_000, 4 * 1024 * 1024 - 1, 3_900_000].map((length) => large.subarray(0, length))
  for (const bytes of blocks) await far.blockstore.put(rawCid(bytes), bytes)
  const listed = await Promise.all(blocks.map((bytes) => collect(near.source.list({ type: 'ipfs', cid: rawCid(bytes).toString() }))))
  expect(listed.map(([file]) => file?.size)).toEqual(blocks.map(({ length }) => length))
})

test('a storage may start before its libp2p node', async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const [a, b] = [await network.node(), await network.node()]
  await a.stop()
  const near = await tools.storage({ directory: tools.fresh(), libp2p: a })
  const far = await tools.storage({ directory: tools.fresh(), libp2p: b })
  await a.start()
  await network.connect(a, b)
  const cid = cidOf(await far.publisher.publish('job', await tools.make({ a: 'some text' }), {}))
  expect(await fetched(near, cid, tools.fresh())).toEqual(asFound({ a: 'some text' }))
})

test('when the holder leaves in the midst, another one is asked', async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const [self, first, second] = [await network.node(), await network.node(), await network.node()]
  const near = await tools.storage({ directory: tools.fresh(), libp2p: self, blockTimeout: 60_000 })
  const asked = Promise.withResolvers<void>()
  const stuck = memory()
  await tools.storage({
    directory: tools.fresh(),
    libp2p: first,
    blockstore: {
      ...stuck.blockstore,
      has: () => true,
      get: async function* () {
        asked.resolve()
        await new Promise(() => {})
      },
    },
  })
  const far = await tools.storage({ directory: tools.fresh(), libp2p: second })
  const content = Buffer.from('of two holders')
  await far.blockstore.put(rawCid(content), content)
  await network.connect(self, first)
  const listing = collect(near.source.list({ type: 'ipfs', cid: rawCid(content).toString() }))
  await asked.promise
  await network.connect(self, second)
  await first.stop()
  expect(await listing).toMatchObject([{ size: content.length }])
})

test('a stop ends what is waited for and what is served, and a start begins anew on the same libp2p node', async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const [a, b] = [await network.node(), await network.node()]
  const near = await tools.storage({ directory: tools.fresh(), libp2p: a, blockTimeout: 60_000 })
  const far = await tools.storage({ directory: tools.fresh(), libp2p: b })
  const waiting = collect(near.source.list({ type: 'ipfs', cid: rawCid('absent').toString() }))
  const ended = expect(waiting).rejects.toMatchObject({ code: 'not-started' })
  await near.stop()
  await ended
  expect(a.status).toBe('started')
  expect(a.getProtocols()).not.toContain('/ipfs/bitswap/1.2.0')
  await network.connect(a, b)
  await near.start()
  const cid = cidOf(await far.publisher.publish('job', await tools.make({ a: 'some text' }), {}))
  expect(await fetched(near, cid, tools.fresh())).toEqual(asFound({ a: 'some text' }))
  await a.stop()
  await near.stop()
})

test('a block that a disk has damaged is served to nobody', async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const [a, b] = [await network.node(), await network.node()]
  const near = await tools.storage({ directory: tools.fresh(), libp2p: a })
  const remote = memory()
  const far = await tools.storage({ directory: tools.fresh(), libp2p: b, blockstore: remote.blockstore })
  await network.connect(a, b)
  const reference = await far.publisher.publish('job', await tools.make({ a: 'some text' }), {})
  for (const cid of remote.blocks.keys()) remote.blocks.set(cid, Buffer.from('damaged'))
  expect(await outcome(collect(near.publisher.read(reference, {})))).toBe('block-unreachable')
})

test('what was fetched is in the store of the node, and only once', async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const [a, b] = [await network.node(), await network.node()]
  const directory = tools.fresh()
  const near = await tools.storage({ directory, libp2p: a })
  const far = await tools.storage({ directory: tools.fresh(), libp2p: b })
  await network.connect(a, b)
  const cid = cidOf(await far.publisher.publish('job', await tools.make({ a: large }), {}))
  await fetched(near, cid, tools.fresh())
  const blocks = (await readdir(join(directory, 'blocks'), { recursive: true })).filter((name) => name.endsWith('.data'))
  // Six chunks, their file, its directory.
  expect(blocks.length).toBe(8)
  for (const name of blocks) expect((await readFile(join(directory, 'blocks', name))).length).toBeGreaterThan(0)
  await rm(join(directory, 'blocks', blocks[0] ?? ''))
  // What the disk has lost comes from the peer again.
  expect(await fetched(near, cid, tools.fresh())).toEqual(asFound({ a: large }))
})

test("blocks are exchanged with helia's own bitswap, both ways", async () => {
  await using tools = await scratch()
  await using network = libp2pNetwork()
  const [a, b] = [await network.node(), await network.node()]
  const ours = await tools.storage({ directory: tools.fresh(), libp2p: a })
  const theirs = await tools.storage({ directory: tools.fresh() })
  const { helia } = theirs
  const broker = new BitswapBlockBroker(
    { libp2p: b, blockstore: helia.blockstore, logger: helia.logger, routing: helia.routing, getHasher: helia.getHasher },
    { sendWantlistDebounce: 0 },
  )
  await broker.start()
  helia.addBlockBroker(broker)
  await network.connect(a, b)
  // Theirs asks only whom it has identified.
  const identified = async () => expect((await b.peerStore.get(a.peerId)).protocols).toContain('/ipfs/bitswap/1.2.0')
  await vi.waitFor(identified, { timeout: 20_000, interval: 5 })
  const tree = { 'a/large': large, 'b/c': 'some text' }
  const here = cidOf(await ours.publisher.publish('here', await tools.make(tree), {}))
  const there = cidOf(await theirs.publisher.publish('there', await tools.make({ ...tree, d: 'more' }), {}))
  expect(await fetched(theirs, here, tools.fresh())).toEqual(asFound(tree))
  expect(await fetched(ours, there, tools.fresh())).toEqual(asFound({ ...tree, d: 'more' }))
  const absent = { type: 'ipfs', cid: rawCid('nobody has this').toString() } as const
  expect(await outcome(collect(ours.source.list(absent)))).toBe('source-unreachable')
  await broker.stop()
})
