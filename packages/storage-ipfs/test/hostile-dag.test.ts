import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { encode, type PBLink, prepare } from '@ipld/dag-pb'
import { failureOf } from '@skrei/job-spec'
import { UnixFS, type UnixFSOptions } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { expect, test } from 'vitest'
import type { IpfsStorage } from '../src/index.ts'
import { collect, type Scratch, scratch, sha256 } from './scratch.ts'

const put = async (storage: IpfsStorage, code: number, bytes: Uint8Array): Promise<CID> => {
  const cid = CID.createV1(code, createDigest(0x12, sha256(bytes)))
  await storage.blockstore.put(cid, bytes)
  return cid
}
const leaf = (storage: IpfsStorage, text: string) => put(storage, 0x55, Buffer.from(text))
const node = (storage: IpfsStorage, data: UnixFSOptions, links: PBLink[]) => put(storage, 0x70, encode({ Data: new UnixFS(data).marshal(), Links: links }))
const directory = (storage: IpfsStorage, links: PBLink[]) => node(storage, { type: 'directory' }, links)

const listing = async (storage: IpfsStorage, cid: CID): Promise<string> => {
  try {
    return `${(await collect(storage.source.list({ type: 'ipfs', cid: cid.toString() }))).length} files`
  } catch (error) {
    return failureOf(error)?.code ?? String(error)
  }
}

/** What a fetch of a hostile tree does: throws with this code, and writes nothing outside `into`. */
const fetching = async (tools: Scratch, storage: IpfsStorage, cid: CID): Promise<string> => {
  const around = tools.fresh()
  await mkdir(join(around, 'into'), { recursive: true })
  const outcome = await collect(storage.publisher.fetch({ type: 'ipfs', cid: cid.toString() }, join(around, 'into'), {})).then(
    () => 'done',
    (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : String(error)),
  )
  expect(await readdir(around)).toEqual(['into'])
  return outcome
}

/** What reading a hostile tree with all of its contents does. */
const reading = async (storage: IpfsStorage, cid: CID): Promise<string> => {
  try {
    for await (const file of storage.publisher.read({ type: 'ipfs', cid: cid.toString() }, {})) await collect(file.content())
    return 'done'
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}

const refused = async (tools: Scratch, storage: IpfsStorage, cid: CID, what: string) => {
  expect(`${what}: ${await listing(storage, cid)}`).toBe(`${what}: source-invalid`)
  expect(`${what}: ${await fetching(tools, storage, cid)}`).toBe(`${what}: dag-invalid`)
  expect(`${what}: ${await reading(storage, cid)}`).toBe(`${what}: dag-invalid`)
}

test('names that would leave their directory, or are none, are refused', async () => {
  await using tools = await scratch()
  const storage = await tools.storage()
  const file = await leaf(storage, 'x')
  for (const Name of ['..', '.', '', '/etc/passwd', '../up', 'a/b', 'nul\0']) {
    await refused(tools, storage, await directory(storage, [{ Name, Hash: file, Tsize: 1 }]), JSON.stringify(Name))
  }
})

test('two entries of one name are refused', async () => {
  await using tools = await scratch()
  const storage = await tools.storage()
  const [one, two] = [await leaf(storage, 'one'), await directory(storage, [])]
  const links = [
    { Name: 'a', Hash: one, Tsize: 3 },
    { Name: 'a', Hash: two, Tsize: 4 },
  ]
  await refused(tools, storage, await directory(storage, links), 'twice')
})

test('links and other kinds of node are refused', async () => {
  await using tools = await scratch()
  const storage = await tools.storage()
  const link = await node(storage, { type: 'symlink', data: Buffer.from('/etc/passwd') }, [])
  const metadata = await node(storage, { type: 'metadata' }, [])
  const garbage = await put(storage, 0x70, Buffer.from([1, 2, 3]))
  const noData = await put(storage, 0x70, encode(prepare({ Links: [] })))
  for (const [what, Hash] of Object.entries({ link, metadata, garbage, noData })) {
    await refused(tools, storage, await directory(storage, [{ Name: 'a', Hash, Tsize: 4 }]), what)
    await refused(tools, storage, Hash, `${what} as root`)
  }
})

test('a tree that is exponentially wide ends at maxEntries', async () => {
  await using tools = await scratch()
  const storage = await tools.storage({ maxEntries: 100 })
  let cid = await directory(storage, [])
  for (let level = 0; level < 60; level += 1)
    cid = await directory(
      storage,
      ['a', 'b'].map((Name) => ({ Name, Hash: cid, Tsize: 4 })),
    )
  expect(await listing(storage, cid)).toBe('source-too-large')
  expect(await fetching(tools, storage, cid)).toBe('limit-exceeded')
  expect(await reading(storage, cid)).toBe('limit-exceeded')
  expect(await storage.source.assess({ type: 'ipfs', cid: cid.toString() })).toEqual({ held: false, refusals: [] })
})

test('a tree that is deeper than any path is refused', async () => {
  await using tools = await scratch()
  const storage = await tools.storage()
  let cid = await directory(storage, [])
  for (let level = 0; level < 50; level += 1) cid = await directory(storage, [{ Name: 'a'.repeat(100), Hash: cid, Tsize: 4 }])
  expect(await listing(storage, cid)).toBe('source-invalid')
})

test('a file that unfolds to more than it may is refused before a byte is written', async () => {
  await using tools = await scratch()
  const storage = await tools.storage({ maxFetchBytes: 1_000_000 })
  let size = 1024
  let cid = await leaf(storage, 'x'.repeat(size))
  for (let level = 0; level < 5; level += 1) {
    const child = cid
    cid = await node(
      storage,
      { type: 'file', blockSizes: Array.from({ length: 64 }, () => BigInt(size)) },
      Array.from({ length: 64 }, () => ({ Name: '', Hash: child, Tsize: size })),
    )
    size *= 64
  }
  const into = tools.fresh()
  await expect(
    collect(storage.source.stage({ path: 'a', source: { type: 'ipfs', cid: cid.toString() } }, into, { maxBytes: 1_000_000 })),
  ).rejects.toMatchObject({ code: 'source-too-large' })
  await expect(readFile(into)).rejects.toMatchObject({ code: 'ENOENT' })
  expect(await fetching(tools, storage, await directory(storage, [{ Name: 'a', Hash: cid, Tsize: 4 }]))).toBe('limit-exceeded')
})

test('a file whose nodes lie about sizes, or never end, is refused', async () => {
  await using tools = await scratch()
  const storage = await tools.storage()
  const file = await leaf(storage, 'four')
  const empty = await leaf(storage, '')
  const link = (Hash: CID) => ({ Name: '', Hash, Tsize: 4 })
  const nested = async (depth: number): Promise<CID> =>
    depth === 0 ? file : node(storage, { type: 'file', blockSizes: [4n] }, [link(await nested(depth - 1))])
  const hostile = {
    'a part longer than said': await node(storage, { type: 'file', blockSizes: [3n] }, [link(file)]),
    'a part shorter than said': await node(storage, { type: 'file', blockSizes: [5n] }, [link(file)]),
    'a part of nothing': await node(storage, { type: 'file', blockSizes: [0n] }, [link(empty)]),
    'fewer sizes than parts': await node(storage, { type: 'file', blockSizes: [4n] }, [link(file), link(file)]),
    'a size beyond numbers': await node(storage, { type: 'file', blockSizes: [2n ** 60n] }, [link(file)]),
    'a directory as a part': await node(storage, { type: 'file', blockSizes: [4n] }, [link(await directory(storage, []))]),
    'nodes in nodes': await nested(100),
  }
  for (const [what, cid] of Object.entries(hostile)) {
    const into = tools.fresh()
    const staging = collect(storage.source.stage({ path: 'a', source: { type: 'ipfs', cid: cid.toString() } }, into, { maxBytes: 2 ** 40 }))
    await expect(staging, what).rejects.toMatchObject({ code: 'source-invalid' })
    await expect(readFile(into)).rejects.toMatchObject({ code: 'ENOENT' })
    const tree = await directory(storage, [{ Name: 'a', Hash: cid, Tsize: 4 }])
    expect(`${what}: ${await fetching(tools, storage, tree)}`).toBe(`${what}: dag-invalid`)
    expect(`${what}: ${await reading(storage, tree)}`).toBe(`${what}: dag-invalid`)
  }
})

test('a raw file whose directory lies about its size is a mismatch', async () => {
  await using tools = await scratch()
  const storage = await tools.storage()
  const cid = await directory(storage, [{ Name: 'a', Hash: await leaf(storage, 'four'), Tsize: 400 }])
  const [entry] = await collect(storage.source.list({ type: 'ipfs', cid: cid.toString() }))
  if (entry === undefined) throw new Error('nothing listed')
  await expect(collect(storage.source.stage(entry, tools.fresh(), { maxBytes: 1e6 }))).rejects.toMatchObject({ code: 'source-mismatch' })
  expect(await fetching(tools, storage, cid)).toBe('dag-invalid')
  expect(await reading(storage, cid)).toBe('dag-invalid')
})

test('sharded directories whose entries do not stand where they belong are refused', async () => {
  await using tools = await scratch()
  const storage = await tools.storage()
  const file = await leaf(storage, 'x')
  const shard = (links: PBLink[], fanout = 256n) => node(storage, { type: 'hamt-sharded-directory', fanout, hashType: 0x22n, data: Buffer.from([1]) }, links)
  const link = (Name: string, Hash = file) => ({ Name, Hash, Tsize: 1 })
  let deep = await shard([])
  for (let level = 0; level < 20; level += 1) deep = await shard([link('00', deep)])
  // The slot of "entry-000000" is 5F: the boxo directory of the golden tests holds it there.
  const hostile = {
    'a wrong slot': await shard([link('00entry-000000')]),
    'a label that is no slot': await shard([link('zzentry')]),
    'a label in lower case': await shard([link('5fentry-000000')]),
    'a slot twice': await shard([link('00'), link('00')]),
    'a file in the place of a shard': await shard([link('00')]),
    'a plain directory in the place of a shard': await shard([link('00', await directory(storage, []))]),
    'another width': await shard([], 512n),
    'shards in shards': deep,
  }
  for (const [what, cid] of Object.entries(hostile)) await refused(tools, storage, cid, what)
})

test('a link that stands where a file is to be written is not followed', async () => {
  await using tools = await scratch()
  const storage = await tools.storage()
  const { cid } = await storage.publisher.publish('job', await tools.make({ a: 'new', 'b/c': 'new' }), {})
  if (cid === undefined) throw new Error('no CID')
  const outside = tools.fresh()
  await mkdir(outside)
  await writeFile(join(outside, 'a'), 'old')
  for (const name of ['a', 'b']) {
    const into = tools.fresh()
    await mkdir(into)
    await symlink(name === 'a' ? join(outside, 'a') : outside, join(into, name))
    await expect(collect(storage.publisher.fetch({ type: 'ipfs', cid }, into, {}))).rejects.toMatchObject({ code: 'EEXIST' })
  }
  expect(await readdir(outside)).toEqual(['a'])
  expect(await readFile(join(outside, 'a'), 'utf8')).toBe('old')
})

test('files are read in the order of their paths, whatever the order of the links', async () => {
  await using tools = await scratch()
  const storage = await tools.storage()
  const file = await leaf(storage, 'x')
  const link = (Name: string, Hash = file) => ({ Name, Hash, Tsize: 1 })
  const below = await directory(storage, [link('y'), link('z')])
  // Put together by hand: the encoder refuses links out of order.
  const links = [link('b'), link('a', below), link('a.c', below), link('a-b'), link('a0')].map((one) => encode({ Links: [one] }))
  const cid = await put(storage, 0x70, Buffer.concat([...links, encode({ Data: new UnixFS({ type: 'directory' }).marshal(), Links: [] })]))
  const found = await collect(storage.publisher.read({ type: 'ipfs', cid: cid.toString() }, {}))
  expect(found.map(({ path }) => path)).toEqual(['a-b', 'a.c/y', 'a.c/z', 'a/y', 'a/z', 'a0', 'b'])
})
