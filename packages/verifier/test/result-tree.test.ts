import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { TreeEntry } from '@skrei/job-spec'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { entriesOf, type VectorFile } from '../scripts/vectors.ts'
import { resultTree } from '../src/index.ts'

const sha256 = (...parts: readonly Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts)).digest()
const refusal = (code: string) => expect.objectContaining({ name: 'VerifierError', code })
const named = (...paths: readonly string[]) => entriesOf(paths.map((path) => ({ path, content: '00' })))

/** The rules of the docstring once more, with nothing of the package. */
const independent = (files: readonly VectorFile[], exit: number, stdout?: string): string => {
  const uint = (value: number, bytes: 4 | 8) => {
    const buffer = Buffer.alloc(bytes)
    buffer.writeUInt32BE(value >>> 0, bytes - 4)
    return buffer
  }
  const content = ({ content: text }: VectorFile) => Buffer.from(text, 'hex')
  const leaves = [
    Buffer.from('\0skrei/result/1'),
    ...files.map((file) => {
      const path = Buffer.from(file.path)
      return Buffer.concat([Buffer.of(1), uint(path.length, 4), path, uint(content(file).length, 8), sha256(content(file))])
    }),
    ...(stdout === undefined ? [] : [Buffer.concat([Buffer.of(2), Buffer.from(stdout, 'hex')])]),
    Buffer.concat([Buffer.of(3), uint(exit, 4)]),
  ]
  const root = (list: readonly Uint8Array[]): Uint8Array => {
    const [first] = list
    if (first === undefined || list.length === 1) return sha256(Buffer.of(0), first ?? Buffer.of())
    const half = 2 ** (Math.ceil(Math.log2(list.length)) - 1)
    return sha256(Buffer.of(1), root(list.slice(0, half)), root(list.slice(half)))
  }
  return Buffer.from(root(leaves)).toString('hex')
}

test('the digests are those of the vectors, and of an implementation written from the description alone', async () => {
  const { cases } = JSON.parse(readFileSync(new URL('../test-vectors/results.json', import.meta.url), 'utf8'))
  for (const { about, files, exit, stdout, result } of cases) {
    expect(await resultTree(entriesOf(files), exit, stdout === undefined ? {} : { stdout }), about).toEqual(result)
    expect(independent(files, exit, stdout), about).toBe(result.digest)
    expect(result.files).toBe(files.length)
    expect(result.bytes).toBe(files.reduce((sum: number, { content }: VectorFile) => sum + content.length / 2, 0))
  }
})

const segment = fc
  .string({ unit: fc.constantFrom('a', 'b', '-', '.', 'é', '～', '🐴'), minLength: 1, maxLength: 3 })
  .filter((text) => text !== '.' && text !== '..')
const path = fc.array(segment, { minLength: 1, maxLength: 3 }).map((segments) => segments.join('/'))
const content = fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('hex'))
const tree = fc
  .uniqueArray(fc.record({ path, content }), { selector: (file) => file.path, maxLength: 20 })
  .map((files) => files.toSorted((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path))))
const exit = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })

test('any result has the digest of the description, however its contents are cut into chunks', async () => {
  await fc.assert(
    fc.asyncProperty(tree, exit, fc.integer({ min: 1, max: 7 }), async (files, code, step) => {
      async function* chunked(): AsyncGenerator<TreeEntry> {
        for await (const entry of entriesOf(files))
          yield {
            ...entry,
            async *open() {
              for await (const bytes of entry.open()) for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step)
            },
          }
      }
      const { digest } = await resultTree(entriesOf(files), code)
      expect(digest).toBe(independent(files, code))
      expect((await resultTree(chunked(), code)).digest).toBe(digest)
    }),
  )
})

test('two results that differ in anything have two digests', async () => {
  const result = fc.record({ files: tree, code: exit, stdout: fc.option(fc.constantFrom('0'.repeat(64), '1'.repeat(64)), { nil: undefined }) })
  const seen = new Map<string, string>()
  await fc.assert(
    fc.asyncProperty(result, async ({ files, code, stdout }) => {
      const { digest } = await resultTree(entriesOf(files), code, stdout === undefined ? {} : { stdout })
      const what = JSON.stringify([files.map(({ path: name, content: bytes }) => [name, bytes]), code, stdout])
      expect(seen.get(digest) ?? what).toBe(what)
      seen.set(digest, what)
    }),
    { numRuns: 500 },
  )
  const one = [{ path: 'a', content: '0102' }]
  const digests = await Promise.all([
    resultTree(entriesOf(one), 0),
    resultTree(entriesOf(one), 1),
    resultTree(entriesOf(one), 0, { stdout: '0'.repeat(64) }),
    resultTree(entriesOf([{ path: 'b', content: '0102' }]), 0),
    resultTree(entriesOf([{ path: 'a', content: '0103' }]), 0),
    resultTree(
      entriesOf([
        { path: 'a', content: '01' },
        { path: 'b', content: '02' },
      ]),
      0,
    ),
    resultTree(entriesOf([]), 0),
  ])
  expect(new Set(digests.map(({ digest }) => digest)).size).toBe(digests.length)
})

test('files out of order, or twice, are an error', async () => {
  for (const paths of [
    ['b', 'a'],
    ['a', 'a'],
    ['a/b', 'a-b'],
    ['ab', 'a'],
    ['\u{1f434}', '\u{ff5e}'],
    ['a', 'c', 'b'],
  ])
    await expect(resultTree(named(...paths), 0)).rejects.toThrow(refusal('tree-unsorted'))
})

test('paths that could mean something else on another machine are an error', async () => {
  for (const bad of ['', '/a', 'a/', 'a//b', '.', '..', 'a/../b', './a', 'a\0b', '\ud800', 'a'.repeat(4097), 'é'.repeat(2049)])
    await expect(resultTree(named(bad), 0), JSON.stringify(bad.slice(0, 20))).rejects.toThrow(refusal('tree-path-invalid'))
  for (const good of ['...', '.hidden', 'a\\b', 'a b', 'a'.repeat(4096)]) await expect(resultTree(named(good), 0)).resolves.toMatchObject({ files: 1 })
})

test('a file that is not as large as it was listed is an error, and reading it stops at once', async () => {
  let read = 0
  const growing: TreeEntry = {
    path: 'a',
    size: 10,
    async *open() {
      while (read < 4000) {
        read += 4
        yield new Uint8Array(4)
      }
    },
  }
  async function* listing(entry: TreeEntry) {
    yield entry
  }
  await expect(resultTree(listing(growing), 0)).rejects.toThrow(refusal('tree-changed'))
  expect(read).toBe(12)
  const short = {
    ...growing,
    open: async function* () {
      yield new Uint8Array(9)
    },
  }
  await expect(resultTree(listing(short), 0)).rejects.toThrow(refusal('tree-changed'))
  for (const size of [-1, 0.5, Number.NaN]) await expect(resultTree(listing({ ...short, size }), 0)).rejects.toThrow(refusal('field-invalid'))
})

test('an exit code beyond 32 bits and a stdout that is no digest are errors before anything is read', async () => {
  async function* unread(): AsyncGenerator<TreeEntry> {
    yield await Promise.reject(new Error('read'))
  }
  for (const code of [2 ** 32, -(2 ** 31) - 1, 0.5, Number.NaN]) await expect(resultTree(unread(), code)).rejects.toThrow(refusal('field-invalid'))
  for (const stdout of ['', 'A'.repeat(64), '0'.repeat(63)]) await expect(resultTree(unread(), 0, { stdout })).rejects.toThrow(refusal('field-invalid'))
})

test('the signal is honoured before the first file and between chunks, and ends the reading', async () => {
  const controller = new AbortController()
  const reason = new Error('enough')
  let closed = 0
  let handed: AbortSignal | undefined
  async function* listing(): AsyncGenerator<TreeEntry> {
    try {
      yield {
        path: 'a',
        size: 1000,
        async *open(options) {
          handed = options?.signal
          try {
            yield new Uint8Array(1)
            controller.abort(reason)
            yield new Uint8Array(1)
          } finally {
            closed += 1
          }
        },
      }
    } finally {
      closed += 1
    }
  }
  await expect(resultTree(listing(), 0, { signal: controller.signal })).rejects.toBe(reason)
  expect(handed).toBe(controller.signal)
  expect(closed).toBe(2)
  let started = false
  async function* never(): AsyncGenerator<TreeEntry> {
    started = true
    yield* []
  }
  await expect(resultTree(never(), 0, { signal: controller.signal })).rejects.toBe(reason)
  expect(started).toBe(false)
})
