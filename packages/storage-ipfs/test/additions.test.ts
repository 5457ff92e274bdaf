import { createCipheriv } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { FileToAdd } from '../src/index.ts'
import { asFound, cidOf, collect, fetched, longName, scratch, type Tree } from './scratch.ts'

const large = createCipheriv('chacha20', Buffer.alloc(32), Buffer.alloc(16)).update(Buffer.alloc(2 * 1024 * 1024 + 7))

async function* pieces(content: Uint8Array | string, length = 100_000): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(content)
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
}

async function* filesOf(tree: Tree): AsyncGenerator<FileToAdd> {
  for (const [path, content] of Object.entries(tree)) yield { path, content: pieces(content) }
}

test('a file that is added has the CID that it has where it is published, is listed, and is no publication', async () => {
  await using tools = await scratch()
  const storage = await tools.storage()
  for (const content of ['', 'some text', large]) {
    const added = await storage.add(pieces(content), { maxBytes: Buffer.byteLength(content) })
    const elsewhere = await tools.storage({ directory: tools.fresh() })
    const published = await elsewhere.publisher.publish('job', await tools.make({ file: content }), {})
    const [file] = await collect(elsewhere.source.list({ type: 'ipfs', cid: cidOf(published) }))
    expect(file?.source).toEqual({ type: 'ipfs', cid: added.cid })
    expect(await collect(storage.source.list({ type: 'ipfs', cid: added.cid }))).toEqual([
      { path: added.cid, source: { type: 'ipfs', cid: added.cid }, size: added.bytes, alone: true },
    ])
  }
  expect(await readdir(join(tools.path, 'store', 'published'))).toEqual([])
})

test('a directory that is added has the CID of the same files published', async () => {
  await using tools = await scratch()
  const storage = await tools.storage()
  const many = Object.fromEntries(Array.from({ length: 1100 }, (_, index) => [`many/${longName(index)}`, 'x']))
  for (const tree of [{}, { 'b/c': 'some text', a: large, 'b/a': '' }, many] satisfies Tree[]) {
    const added = await storage.addDirectory(filesOf(tree), { maxBytes: 10_000_000 })
    expect(added.cid).toBe(cidOf(await storage.publisher.publish(added.cid, await tools.make(tree), {})))
    expect(added.bytes).toBe(Object.values(tree).reduce((sum, content) => sum + Buffer.byteLength(content), 0))
    expect(await fetched(storage, added.cid, tools.fresh())).toEqual(asFound(tree))
  }
})

test('the content of a file is read to its end before the next file is asked for, as an archive needs it', async () => {
  await using tools = await scratch()
  const storage = await tools.storage()
  let open = 0
  async function* archive(): AsyncGenerator<FileToAdd> {
    for (let index = 0; index < 50; index += 1) {
      expect(open).toBe(0)
      open += 1
      const content = async function* () {
        yield* pieces(large.subarray(0, 300_000))
        open -= 1
      }
      yield { path: `${index}`, content: content() }
    }
  }
  expect((await storage.addDirectory(archive(), { maxBytes: 1e9 })).bytes).toBe(50 * 300_000)
})

test('no more than maxBytes is taken, of one file or of all together, and what is given is let go of', async () => {
  await using tools = await scratch()
  const storage = await tools.storage()
  let given = 0
  let closed = 0
  async function* endless(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        given += 1000
        yield Buffer.alloc(1000, given)
      }
    } finally {
      closed += 1
    }
  }
  await expect(storage.add(endless(), { maxBytes: 100_000 })).rejects.toMatchObject({ code: 'limit-exceeded' })
  expect([given, closed]).toEqual([101_000, 1])
  async function* files(): AsyncGenerator<FileToAdd> {
    for (let index = 0; ; index += 1) yield { path: `${index}`, content: pieces('x'.repeat(1000)) }
  }
  await expect(storage.addDirectory(files(), { maxBytes: 10_000 })).rejects.toMatchObject({ code: 'limit-exceeded' })
  const few = await tools.storage({ directory: tools.fresh(), maxEntries: 10 })
  await expect(few.addDirectory(files(), { maxBytes: 1e9 })).rejects.toMatchObject({ code: 'limit-exceeded' })
})

test('paths that are not plain, or meet, are refused', async () => {
  await using tools = await scratch()
  const storage = await tools.storage()
  for (const path of ['', '/', '/etc/passwd', '..', '../a', 'a/../b', './a', 'a//b', 'a/', 'nul\0', '\ud800'])
    await expect(storage.addDirectory(filesOf({ good: 'x', [path]: 'x' }), { maxBytes: 1000 }), JSON.stringify(path)).rejects.toMatchObject({
      code: 'entry-invalid',
    })
  for (const [one, two] of [
    ['a', 'a/b'],
    ['a/b', 'a'],
  ] as const)
    await expect(storage.addDirectory(filesOf({ [one]: 'x', [two]: 'x' }), { maxBytes: 1000 })).rejects.toMatchObject({ code: 'entry-invalid' })
  async function* twice(): AsyncGenerator<FileToAdd> {
    yield { path: 'a', content: pieces('x') }
    yield { path: 'a', content: pieces('x') }
  }
  await expect(storage.addDirectory(twice(), { maxBytes: 1000 })).rejects.toMatchObject({ code: 'entry-invalid' })
  const odd = { __proto__x: 'x', constructor: 'y', 'toString/__proto__': 'z' }
  expect(await fetched(storage, (await storage.addDirectory(filesOf(odd), { maxBytes: 1000 })).cid, tools.fresh())).toEqual(asFound(odd))
})

test('a signal ends an addition', async () => {
  await using tools = await scratch()
  const storage = await tools.storage()
  const reason = new Error('given up')
  await expect(storage.add(pieces('x'), { maxBytes: 10, signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  const controller = new AbortController()
  async function* content(): AsyncGenerator<Uint8Array> {
    yield large
    controller.abort(reason)
    yield large
  }
  await expect(storage.add(content(), { maxBytes: 1e9, signal: controller.signal })).rejects.toBe(reason)
})

const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'added',
    (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
  )
const bytes = (seed: string, length: number): Uint8Array => Buffer.alloc(length, seed)

test('additions stop at what they may take together, also after a start, and what is held already costs nothing', async () => {
  await using tools = await scratch()
  const maxAddedBytes = 100_000
  const storage = await tools.storage({ maxAddedBytes })
  const add = (content: Uint8Array, to = storage) => codeOf(to.add(pieces(content), { maxBytes: 1_000_000 }))
  expect(await add(bytes('a', 60_000))).toBe('added')
  expect(await add(bytes('b', 60_000))).toBe('storage-full')
  expect(await add(bytes('a', 60_000))).toBe('added')
  // What was refused took no room.
  expect(await add(bytes('c', 39_000))).toBe('added')
  await storage.stop()
  const again = await tools.storage({ maxAddedBytes })
  expect(await add(bytes('d', 2000), again)).toBe('storage-full')
  expect(await codeOf(again.addDirectory(filesOf({ a: 'new' }), { maxBytes: 10 }))).toBe('storage-full')
  expect(await add(bytes('c', 39_000), again)).toBe('added')
  // Whoever publishes is not held back by what others added.
  expect(cidOf(await again.publisher.publish('job', await tools.make({ file: large }), {}))).toMatch(/^bafy/)
  const wider = await tools.storage({ maxAddedBytes: 2 * maxAddedBytes })
  expect(await add(bytes('d', 2000), wider)).toBe('added')
})

test('many small files count as what they take on a disk', async () => {
  await using tools = await scratch()
  const storage = await tools.storage({ maxAddedBytes: 100_000 })
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`${index}`, `${index}`]))
  expect(await codeOf(storage.addDirectory(filesOf(many), { maxBytes: 1000 }))).toBe('storage-full')
})

test('additions that come at the same time stay within what they may take together', async () => {
  await using tools = await scratch()
  const storage = await tools.storage({ maxAddedBytes: 400_000 })
  const all = await Promise.all(Array.from('abcdefgh', (seed) => codeOf(storage.add(pieces(bytes(seed, 100_000)), { maxBytes: 1_000_000 }))))
  expect(all.filter((outcome) => outcome === 'added').length).toBe(4)
  expect(all.filter((outcome) => outcome === 'storage-full').length).toBe(4)
})

test('additions leave room on the disk for the rest of the node', async () => {
  await using tools = await scratch()
  const storage = await tools.storage({ keepFreeBytes: Number.MAX_SAFE_INTEGER })
  for (let tries = 0; tries < 3; tries += 1) expect(await codeOf(storage.add(pieces('text'), { maxBytes: 10 }))).toBe('storage-full')
  const roomy = await tools.storage({ keepFreeBytes: 0, maxAddedBytes: 4096 })
  expect(await codeOf(roomy.add(pieces('text'), { maxBytes: 10 }))).toBe('added')
})
