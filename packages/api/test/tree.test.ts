import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { packTar, type TarEntry } from 'modern-tar'
import { expect, test } from 'vitest'
import { tarArchive } from '../src/tar-writer.ts'
import { readTree } from '../src/tree-reader.ts'
import { bytesOf, codeOf, served, text } from './served.ts'

const bytes = (value: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(value)

async function* pieces(all: Uint8Array, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let offset = 0; offset < all.length; offset += size) yield all.subarray(offset, offset + size)
}

const treeOf = async (archive: AsyncIterable<Uint8Array>, maxEntries = 100): Promise<[string, string][]> => {
  const found: [string, string][] = []
  for await (const { path, content } of readTree(archive, maxEntries)) found.push([path, text(await bytesOf(content))])
  return found
}

const packed = (entries: TarEntry[]): Promise<Uint8Array> => packTar(entries)
const file = (name: string, body = 'x'): TarEntry => ({ header: { name, size: bytes(body).length, type: 'file' }, body })

const entryOf = (path: string, content: Uint8Array) => ({
  path,
  size: content.length,
  content: async function* () {
    yield content
  },
})

const name = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 90 })
  .filter((value) => !/[/\0\ufffd]/.test(value) && value !== '.' && value !== '..' && value.isWellFormed())
const path = fc.array(name, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'))

test('what is written is read again, in whatever pieces it comes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.tuple(path, fc.uint8Array({ maxLength: 2000 })), { selector: ([key]) => key.split('/')[0], maxLength: 5 }),
      fc.integer({ min: 1, max: 3000 }),
      async (files, size) => {
        const archive = await bytesOf(tarArchive(files.map(([key, content]) => entryOf(key, content))))
        const found: [string, Uint8Array][] = []
        for await (const { path, content } of readTree(pieces(archive, size), 100)) found.push([path, new Uint8Array(await bytesOf(content))])
        expect(found).toEqual(files)
      },
    ),
    { numRuns: 60 },
  )
})

test('`tar` of the system reads an archive, and ours reads one of it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'api-tar-'))
  try {
    const long = `${'deep/'.repeat(30)}${'n'.repeat(120)}`
    const archive = await bytesOf(
      tarArchive([
        entryOf('a b/ü.txt', bytes('one')),
        entryOf(long, bytes('two')),
        entryOf('exact', new Uint8Array(512).fill(0x61)),
        entryOf('empty', bytes('')),
      ]),
    )
    await writeFile(join(directory, 'a.tar'), archive)
    execFileSync('tar', ['-xf', 'a.tar'], { cwd: directory })
    expect(await readFile(join(directory, 'a b/ü.txt'), 'utf8')).toBe('one')
    expect(await readFile(join(directory, long), 'utf8')).toBe('two')
    expect((await stat(join(directory, 'exact'))).size).toBe(512)
    for (const format of ['ustar', 'gnu', 'pax']) {
      execFileSync('tar', [`--format=${format}`, '-cf', 'b.tar', './a b', 'exact', ...(format === 'ustar' ? [] : ['deep'])], { cwd: directory })
      const found = await treeOf(pieces(await readFile(join(directory, 'b.tar')), 1000))
      expect(found.map(([key]) => key)).toEqual(['a b/ü.txt', 'exact', ...(format === 'ustar' ? [] : [long])])
      expect(found[0]?.[1]).toBe('one')
    }
  } finally {
    await rm(directory, { recursive: true })
  }
})

test.each<[string, TarEntry[]]>([
  ['a symbolic link', [{ header: { name: 'a', size: 0, type: 'symlink', linkname: '/etc/passwd' } }]],
  ['a hard link', [{ header: { name: 'a', size: 0, type: 'link', linkname: '../b' } }]],
  ['a device', [{ header: { name: 'a', size: 0, type: 'character-device' } }]],
  ['a pipe', [{ header: { name: 'a', size: 0, type: 'fifo' } }]],
  ['a path out of it', [file('../a')]],
  ['a path out of it and in again', [file('a/../b')]],
  ['an absolute path', [file('/etc/passwd')]],
  ['a dot inside', [file('a/./b')]],
  ['an empty name', [file('a//b')]],
  ['a directory out of it', [{ header: { name: '../a/', size: 0, type: 'directory' } }]],
  ['a path twice', [file('a'), file('b'), file('a')]],
  ['a path twice in other forms', [file('a'), file('./a')]],
  ['a file that is also a directory', [file('a'), file('a/b')]],
  ['a directory that is also a file', [file('a/b'), file('a')]],
  ['a path that is too long', [file('x/'.repeat(20) + 'y'.repeat(4090))]],
  ['a path that is too deep', [file(`${'x/'.repeat(64)}y`)]],
  ['a null byte by a pax header', [{ header: { name: 'a', size: 1, type: 'file', pax: { path: 'a\0b' } }, body: 'x' }]],
  ['more entries than are taken', Array.from({ length: 101 }, (_, index) => file(`f${index}`, ''))],
  ['more directories than are taken', Array.from({ length: 40 }, (_, index) => file(`${index}/b/c/d`, ''))],
])('an archive with %s is refused', async (_, entries) => {
  const { client, node, server } = await served({ limits: { treeEntries: 100 } })
  const body = new Uint8Array(await packed(entries))
  const response = await fetch(`${server.url}/api/v1/blobs`, { method: 'POST', body, headers: { 'content-type': 'application/x-tar' } })
  expect([response.status, ((await response.json()) as { error: { code: string } }).error.code]).toEqual([422, 'tree-invalid'])
  expect((await client.health()).status).toBe('ready')
  expect(node.kept.map((kept) => kept.path)).not.toContain('../a')
})

test('whoever takes more entries takes as many names: a result may have a million files', async () => {
  const long = Array.from({ length: 5 }, () => 'n'.repeat(200)).join('/')
  const many = async function* () {
    for (let index = 0; index < 20_000; index++) yield entryOf(`${index}${long}`, new Uint8Array())
  }
  let files = 0
  for await (const { content } of readTree(tarArchive(many()), 10_000_000)) {
    for await (const _ of content) expect.unreachable()
    files++
  }
  expect(files).toBe(20_000)
}, 60_000)

test('names of an archive take a bounded amount of memory', async () => {
  const many = async function* () {
    for (let index = 0; index < 10_000; index += 1) yield entryOf(`${String(index).padStart(8, '0')}/${'x'.repeat(3000)}`, bytes(''))
  }
  expect(await codeOf(treeOf(tarArchive(many()), 100_000))).toBe('tree-invalid')
})

test.each<[string, (archive: Uint8Array) => Uint8Array]>([
  ['cut in a header', (archive) => archive.subarray(0, 300)],
  ['cut in a file', (archive) => archive.subarray(0, 700)],
  ['without its end', (archive) => archive.subarray(0, archive.length - 1024)],
  ['with a wrong checksum', (archive) => archive.with(0, 0x62)],
  ['that is none', () => new Uint8Array(2048).fill(0x61)],
  ['of nothing', () => new Uint8Array(0)],
])('an archive %s is refused', async (_, damage) => {
  const archive = await packed([file('a', 'y'.repeat(1000))])
  const { server } = await served()
  const response = await fetch(`${server.url}/api/v1/blobs`, {
    method: 'POST',
    body: new Uint8Array(damage(archive)),
    headers: { 'content-type': 'application/x-tar' },
  })
  expect([response.status, ((await response.json()) as { error: { code: string } }).error.code]).toEqual([422, 'tree-invalid'])
})

test('a file that nobody reads is passed over, and so is the rest of one that is left', async () => {
  const archive = await bytesOf(tarArchive(['a', 'b', 'c', 'd'].map((path) => entryOf(path, new Uint8Array(3_000_000)))))
  const found: string[] = []
  for await (const { path, content } of readTree(pieces(archive, 65_536), 100)) {
    found.push(path)
    if (path === 'b') for await (const _ of content) break
    if (path === 'c') expect((await bytesOf(content)).length).toBe(3_000_000)
  }
  expect(found).toEqual(['a', 'b', 'c', 'd'])
})

test('who reads an archive slowly holds back who sends it', async () => {
  let pulled = 0
  const source = tarArchive([
    {
      path: 'a',
      size: 2 ** 30,
      content: async function* () {
        for (let sent = 0; sent < 2 ** 30; sent += 65_536) {
          pulled += 65_536
          yield new Uint8Array(65_536)
        }
      },
    },
  ])
  for await (const { content } of readTree(source, 1)) {
    let read = 0
    for await (const chunk of content) {
      read += chunk.length
      if (read > 1_000_000) break
    }
    break
  }
  expect(pulled).toBeLessThan(8 * 2 ** 20)
})

test.each([
  [5, 'fewer'],
  [3, 'more'],
])('a file of another size than was said breaks the archive', async (size, says) => {
  const { client, node } = await served()
  const failing = client.addTree([{ path: 'a', size, content: bytes('abcd') }])
  await expect(failing).rejects.toThrow(`a has ${says} bytes than the ${size} that were said`)
  expect(node.kept).toEqual([])
})
