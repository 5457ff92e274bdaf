import { createCipheriv } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { unixfs } from '@helia/unixfs'
import { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import type { Blockstore } from '../src/index.ts'
import { ipfsStorage } from '../src/index.ts'
import { asFound, cidOf, collect, fetched, longName, scratch } from './scratch.ts'

const memory = () => {
  const blocks = new Map<string, Uint8Array>()
  let reads = 0
  const blockstore: Blockstore = {
    get: function* (cid) {
      reads += 1
      const bytes = blocks.get(cid.toString())
      if (bytes === undefined) throw new Error('not here')
      yield bytes
    },
    has: (cid) => blocks.has(cid.toString()),
    put: (cid, bytes) => {
      blocks.set(cid.toString(), bytes)
      return cid
    },
  }
  return { blocks, blockstore, reads: () => reads }
}

test('the helia inside starts and stops with the storage, and has no way to a network', async () => {
  await using tools = await scratch()
  const unstarted = ipfsStorage({ directory: tools.fresh() })
  expect(() => unstarted.helia).toThrow(expect.objectContaining({ code: 'not-started' }))
  const storage = await tools.storage()
  const { helia } = storage
  expect(helia).toMatchObject({ status: 'started', info: { name: 'helia' } })
  const absent = CID.parse('bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku')
  const read = async () => {
    for await (const _bytes of helia.blockstore.get(absent));
  }
  await expect(read()).rejects.toThrow('No block brokers')
  await expect(collect(helia.routing.findProviders(absent))).rejects.toThrow('No content routers')
  await storage.stop()
  expect(helia.status).toBe('stopped')
  await storage.start()
  expect(storage.helia).toBe(helia)
  expect(helia.status).toBe('started')
})

test('what is published is there for whoever uses the helia inside, checked, and no collection of garbage takes it', async () => {
  await using tools = await scratch()
  const storage = await tools.storage()
  const cid = cidOf(await storage.publisher.publish('job', await tools.make({ 'a/b': 'some text' }), {}))
  const fs = unixfs(storage.helia)
  const read = async () => Buffer.concat(await collect(fs.cat(CID.parse(cid), { path: 'a/b' }))).toString()
  expect(await read()).toBe('some text')
  await expect(storage.helia.gc()).rejects.toThrow('kept')
  expect(await read()).toBe('some text')
  const folder = join(tools.path, 'store', 'blocks')
  for (const name of await readdir(folder, { recursive: true })) if (name.endsWith('.data')) await writeFile(join(folder, name), 'other')
  await expect(read()).rejects.toMatchObject({ code: 'block-corrupt' })
})

test('a block broker that is added to helia serves what is missing, checked, and what it lies about is refused', async () => {
  await using tools = await scratch()
  const remote = memory()
  const far = await tools.storage({ directory: tools.fresh(), blockstore: remote.blockstore })
  const reference = await far.publisher.publish('job', await tools.make({ a: 'some text', 'b/c': 'more' }), {})
  const near = await tools.storage()
  near.helia.addBlockBroker({
    name: 'far',
    retrieve: async (cid) => {
      const bytes = remote.blocks.get(cid.toString())
      if (bytes === undefined) throw new Error('not there')
      return bytes
    },
  })
  const source = { type: 'ipfs', cid: cidOf(reference) } as const
  // Assessing starts no download.
  expect(await near.source.assess(source)).toEqual({ held: false, refusals: [] })
  async function* entries() {
    yield { path: 'shards/0', content: reference }
  }
  const whole = cidOf(await near.publisher.compose('whole', entries(), {}))
  for (const [cid, bytes] of remote.blocks) if (Buffer.from(bytes).toString() === 'more') remote.blocks.set(cid, Buffer.from('lies'))
  await expect(fetched(near, whole, tools.fresh())).rejects.toMatchObject({ code: 'block-missing' })
  for (const [cid, bytes] of remote.blocks) if (Buffer.from(bytes).toString() === 'lies') remote.blocks.set(cid, Buffer.from('more'))
  expect(await fetched(near, whole, tools.fresh())).toEqual(asFound({ 'shards/0/a': 'some text', 'shards/0/b/c': 'more' }))
  remote.blocks.clear()
  expect(await near.source.assess(source)).toEqual({ held: true, bytes: 13, refusals: [] })
})

test('a file is read as fast as it is taken: a few blocks ahead', async () => {
  await using tools = await scratch()
  const { blockstore, reads } = memory()
  const storage = await tools.storage({ blockstore })
  const content = createCipheriv('chacha20', Buffer.alloc(32), Buffer.alloc(16)).update(Buffer.alloc(20 * 1024 * 1024))
  const cid = cidOf(await storage.publisher.publish('job', await tools.make({ content }), {}))
  const [entry] = await collect(storage.source.list({ type: 'ipfs', cid }))
  if (entry === undefined) throw new Error('nothing listed')
  const before = reads()
  for await (const _bytes of storage.source.stage(entry, tools.fresh(), { maxBytes: 1e9 })) break
  expect(reads() - before).toBeLessThan(10)
})

test('a folder whose name ends in a backslash, and a folder of many folders, are published as they are', async () => {
  await using tools = await scratch()
  const storage = await tools.storage()
  const tree = { 'a\\/b': 'x', ...Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`many/${longName(index)}/f`, 'x'])) }
  const cid = cidOf(await storage.publisher.publish('job', await tools.make(tree), {}))
  const paths = (await collect(storage.source.list({ type: 'ipfs', cid }))).map((entry) => entry.path)
  expect(paths.sort()).toEqual(Object.keys(tree).sort())
  // One block of 1,000 links with such names would have 290 KB.
  const blocks = (await readdir(join(tools.path, 'store', 'blocks'), { recursive: true })).filter((name) => name.endsWith('.data'))
  const sizes = await Promise.all(blocks.map(async (name) => (await readFile(join(tools.path, 'store', 'blocks', name))).length))
  expect(Math.max(...sizes)).toBeLessThan(262_144)
})

test('one file of a tree of 100,000 is read by the blocks on the way to it, and a part of a file by the blocks of that part', async () => {
  await using tools = await scratch()
  const { blockstore, reads } = memory()
  const storage = await tools.storage({ blockstore })
  const names = Array.from({ length: 1000 }, (_, index) => longName(index))
  const content = createCipheriv('chacha20', Buffer.alloc(32), Buffer.alloc(16)).update(Buffer.alloc(20 * 1024 * 1024))
  async function* files() {
    for (const name of names) yield { path: name, content: Buffer.from(name) }
    yield { path: 'large', content }
  }
  const part = await storage.publisher.compose('part', files(), {})
  async function* parts() {
    for (let index = 0; index < 100; index += 1) yield { path: `shards/${index}`, content: part }
  }
  const whole = await storage.publisher.compose('whole', parts(), {})
  const readsOf = async (work: () => Promise<void>) => {
    const before = reads()
    await work()
    return reads() - before
  }
  const path = `shards/77/${names[500]}`
  expect(
    await readsOf(async () => {
      const [file] = await collect(storage.publisher.read(whole, { path }))
      expect(file?.path).toBe(path)
      expect(Buffer.concat(await collect(file?.content() ?? [])).toString()).toBe(names[500])
    }),
  ).toBeLessThan(10)
  expect(await readsOf(async () => expect(await collect(storage.publisher.read(whole, { path: 'shards/77/none' }))).toEqual([]))).toBeLessThan(10)
  const [large] = await collect(storage.publisher.read(whole, { path: 'shards/3/large' }))
  expect(
    await readsOf(async () => {
      const rest = Buffer.concat(await collect(large?.content({ from: content.length - 1_500_000 }) ?? []))
      expect(rest.equals(content.subarray(-1_500_000))).toBe(true)
    }),
  ).toBe(3)
})
