import { mkdir, readdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { type Reference, referenceSchema } from '@skrei/job-spec'
import { describe, expect, test } from 'vitest'
import type { PublishedFile, Publisher } from '../index.ts'
import { defaultDeadline, inTime } from './in-time.ts'
import { asFound, collect, drain, filesOf, patternBytes, scratch, writeFiles } from './scratch.ts'

/** A publisher that has published nothing. Made anew for each test. */
export interface PublisherHarness extends AsyncDisposable {
  readonly publisher: Publisher
}

export interface PublisherConformance {
  readonly name: string
  create(): Promise<PublisherHarness>
  /** Milliseconds that a case may take. Default 30,000. */
  readonly deadline?: number
  /** References that nothing was published under, as a stranger might write them: fetching, reading or composing them must fail. */
  readonly forged: readonly Reference[] | ((harness: PublisherHarness) => Promise<readonly Reference[]>)
}

export interface PublisherCase {
  readonly name: string
  /** Rejects where the driver breaks the promise, or has not done with it within the deadline. */
  run(options: PublisherConformance): Promise<void>
}

const files: Record<string, Uint8Array> = {
  stdout: patternBytes(100, 1),
  stderr: new Uint8Array(),
  'outputs/b': patternBytes(3 * 1024 * 1024 + 1, 2),
  'outputs/a/deep/er': patternBytes(10, 3),
  'outputs/a-b': patternBytes(11, 4),
  'outputs/ü and spaces': patternBytes(12, 5),
}
const totalBytes = (all: Record<string, Uint8Array>) => Object.values(all).reduce((sum, bytes) => sum + bytes.length, 0)
const prefixed = (prefix: string, all: Record<string, Uint8Array>) =>
  Object.fromEntries(Object.entries(all).map(([path, bytes]) => [`${prefix}/${path}`, bytes]))

const withPublisher = async (
  options: PublisherConformance,
  check: (
    publisher: Publisher,
    tools: { make(files: Record<string, Uint8Array>): Promise<string>; fetched(reference: Reference): Promise<Record<string, string>> },
  ) => Promise<void>,
) => {
  await using harness = await options.create()
  await using directory = await scratch()
  await check(harness.publisher, {
    make: async (all) => {
      const path = directory.fresh()
      await writeFiles(path, all)
      return path
    },
    fetched: async (reference) => {
      const into = directory.fresh()
      await mkdir(into)
      await drain(harness.publisher.fetch(reference, into, {}))
      return await filesOf(into)
    },
  })
}

const latin1 = async (content: AsyncIterable<Uint8Array>): Promise<string> => Buffer.concat(await collect(content)).toString('latin1')

/** What `read` gives: paths in its order, each with its content; sizes are checked on the way. */
const readAll = async (publisher: Publisher, reference: Reference, path?: string): Promise<[string, string][]> => {
  const found: [string, string][] = []
  for await (const file of publisher.read(reference, { ...(path !== undefined && { path }) })) {
    const content = await latin1(file.content())
    expect(`${file.path}: ${file.size}`).toBe(`${file.path}: ${content.length}`)
    found.push([file.path, content])
  }
  return found
}

const inByteOrder = (all: Record<string, Uint8Array>): [string, string][] =>
  Object.entries(asFound(all)).sort(([left], [right]) => Buffer.compare(Buffer.from(left), Buffer.from(right)))

type Part = { readonly path: string; readonly content: Reference | Uint8Array | AsyncIterable<Uint8Array> }
async function* stream<T>(parts: readonly T[]): AsyncGenerator<T> {
  yield* parts
}

const cases: readonly PublisherCase[] = [
  {
    name: 'what was published is fetched as it was, also when its directory is gone by then',
    run: (options) =>
      withPublisher(options, async (publisher, { make, fetched }) => {
        await using directory = await scratch()
        const path = join(directory.path, 'gone')
        await writeFiles(path, files)
        const reference = await publisher.publish('job-1', path, {})
        expect(referenceSchema.parse(reference)).toEqual(reference)
        expect(reference.type).toBe(publisher.type)
        await directory[Symbol.asyncDispose]()
        expect(await fetched(reference)).toEqual(asFound(files))
        expect(await fetched(await publisher.publish('job-2', await make({ one: patternBytes(1) }), {}))).toEqual(asFound({ one: patternBytes(1) }))
      }),
  },
  {
    name: 'fetching tells how many bytes so far',
    run: (options) =>
      withPublisher(options, async (publisher, { make }) => {
        await using directory = await scratch()
        const progress = await collect(publisher.fetch(await publisher.publish('job', await make(files), {}), directory.path, {}))
        expect(progress.at(-1)).toBe(totalBytes(files))
        expect(progress).toEqual([...progress].sort((left, right) => left - right))
      }),
  },
  {
    name: 'publishing the same id again answers the same reference and changes nothing',
    run: (options) =>
      withPublisher(options, async (publisher, { make, fetched }) => {
        const path = await make({ one: patternBytes(10) })
        const [first, second] = await Promise.all([publisher.publish('job', path, {}), publisher.publish('job', path, {})])
        expect(second).toEqual(first)
        expect(await publisher.publish('job', await make({ other: patternBytes(20) }), {})).toEqual(first)
        expect(await fetched(first)).toEqual(asFound({ one: patternBytes(10) }))
      }),
  },
  {
    name: 'ids of odd characters do not meet each other and do not leave the publisher',
    run: (options) =>
      withPublisher(options, async (publisher, { make, fetched }) => {
        const ids = ['a', 'A', '../a', '..', '.', 'a/b', 'a%2fb', '/etc', 'a\nb', 'ü', 'u\u0308', '__proto__', 'constructor', 'con', '-rf']
        const references: Reference[] = []
        for (const id of ids) references.push(await publisher.publish(id, await make({ id: Buffer.from(id) }), {}))
        for (const [index, id] of ids.entries()) expect(await fetched(references[index] as Reference)).toEqual(asFound({ id: Buffer.from(id) }))
      }),
  },
  {
    name: 'compose makes one directory of published parts, bytes and streams of bytes, in any order',
    run: (options) =>
      withPublisher(options, async (publisher, { make, fetched }) => {
        const one = await publisher.publish('one', await make(files), {})
        const two = await publisher.publish('two', await make({ x: patternBytes(5) }), {})
        const parts: Part[] = [
          { path: 'shards/1', content: two },
          { path: 'result.json', content: Buffer.from('{}') },
          { path: 'shards/0', content: one },
          { path: 'shards/2/note', content: new Uint8Array() },
        ]
        const streamed = (): Part => ({ path: 'streamed', content: stream([patternBytes(70_000), new Uint8Array(), patternBytes(3)]) })
        const whole = await publisher.compose('whole', stream([...parts, streamed()]), {})
        const expected = asFound({
          ...prefixed('shards/0', files),
          'shards/1/x': patternBytes(5),
          'result.json': Buffer.from('{}'),
          'shards/2/note': new Uint8Array(),
          streamed: Buffer.concat([patternBytes(70_000), patternBytes(3)]),
        })
        expect(await fetched(whole)).toEqual(expected)
        expect(await publisher.compose('whole', stream<Part>([]), {})).toEqual(whole)
        expect(await fetched(await publisher.compose('reversed', stream([streamed(), ...parts.toReversed()]), {}))).toEqual(expected)
      }),
  },
  {
    name: 'withdrawing a part leaves what was composed of it whole',
    run: (options) =>
      withPublisher(options, async (publisher, { make, fetched }) => {
        const part = await publisher.publish('part', await make(files), {})
        const whole = await publisher.compose('whole', stream([{ path: 'part', content: part }]), {})
        await publisher.unpublish('part')
        expect(await fetched(whole)).toEqual(asFound(prefixed('part', files)))
      }),
  },
  {
    name: 'compose refuses paths that are not plain, and two entries of one path, and publishes nothing then',
    run: (options) =>
      withPublisher(options, async (publisher, { make, fetched }) => {
        const content = Buffer.from('x')
        for (const path of ['', '/', '/absolute', '../up', 'a/../../up', 'a/./b', 'a//b', 'a/', '..', 'nul\0']) {
          await expect(
            publisher.compose(
              'bad',
              stream([
                { path: 'good', content },
                { path, content },
              ]),
              {},
            ),
            JSON.stringify(path),
          ).rejects.toThrow()
        }
        const twice = [
          { path: 'a', content },
          { path: 'a', content: Buffer.from('y') },
        ]
        await expect(publisher.compose('bad', stream(twice), {}), 'the same path twice').rejects.toThrow()
        await expect(
          publisher.compose(
            'bad',
            stream([
              { path: 'a', content },
              { path: 'a/b', content },
            ]),
            {},
          ),
          'a file as a directory',
        ).rejects.toThrow()
        await expect(
          publisher.compose(
            'bad',
            stream([
              { path: 'a/b', content },
              { path: 'a', content },
            ]),
            {},
          ),
          'a directory as a file',
        ).rejects.toThrow()
        expect(await fetched(await publisher.publish('bad', await make({ good: content }), {}))).toEqual(asFound({ good: content }))
      }),
  },
  {
    name: 'read gives every file with its size, in the order of the bytes of its whole path, of what was published and of what was composed',
    run: (options) =>
      withPublisher(options, async (publisher, { make }) => {
        const all = {
          ...files,
          'outputs/a.b/c': patternBytes(1),
          'outputs/a0': patternBytes(2),
          'outputs/a!/x': patternBytes(3),
          'outputs/\u{ff5e}': patternBytes(4),
        }
        const last = { 'outputs/\u{1f41f}': patternBytes(5) }
        const reference = await publisher.publish('job', await make({ ...last, ...all }), {})
        expect(await readAll(publisher, reference)).toEqual(inByteOrder({ ...all, ...last }))
        const parts: Part[] = [
          { path: 'shards/10', content: reference },
          { path: 'shards/1', content: reference },
          { path: 'shards-of', content: Buffer.from('two') },
        ]
        const expected = { ...prefixed('shards/1', { ...all, ...last }), ...prefixed('shards/10', { ...all, ...last }), 'shards-of': Buffer.from('two') }
        expect(await readAll(publisher, await publisher.compose('whole', stream(parts), {}))).toEqual(inByteOrder(expected))
        expect(await readAll(publisher, await publisher.publish('empty', await make({}), {}))).toEqual([])
      }),
  },
  {
    name: 'read with a path gives that file alone, or what lies below that directory, and nothing where nothing is',
    run: (options) =>
      withPublisher(options, async (publisher, { make }) => {
        const reference = await publisher.publish('job', await make(files), {})
        for (const path of Object.keys(files)) expect(await readAll(publisher, reference, path)).toEqual(inByteOrder({ [path]: files[path] as Uint8Array }))
        for (const path of ['outputs', 'outputs/a', 'outputs/a/deep', 'output', 'outputs/a/deep/er/st', 'stdout/x', 'missing', 'x'.repeat(5000), '__proto__']) {
          const below = Object.fromEntries(Object.entries(files).filter(([one]) => one.startsWith(`${path}/`)))
          expect(await readAll(publisher, reference, path), path).toEqual(inByteOrder(below))
        }
      }),
  },
  {
    name: 'read never leaves the publication: a path that is not plain gives nothing, or is an error',
    run: (options) =>
      withPublisher(options, async (publisher, { make }) => {
        const reference = await publisher.publish('job', await make(files), {})
        await publisher.publish('beside', await make(files), {})
        const bad = [
          '',
          '.',
          '..',
          '/',
          './stdout',
          '../beside/stdout',
          '../job/stdout',
          'outputs/../stdout',
          'outputs//b',
          'outputs/',
          '/etc/hostname',
          'stdout\0',
          '\ud800',
        ]
        for (const path of bad) expect(await readAll(publisher, reference, path).catch(() => []), JSON.stringify(path)).toEqual([])
      }),
  },
  {
    name: 'the content of a file is read from any byte on, in chunks, as often as it is asked for, and beyond its end there is nothing',
    run: (options) =>
      withPublisher(options, async (publisher, { make }) => {
        const bytes = patternBytes(9 * 1024 * 1024 + 5)
        const reference = await publisher.publish('job', await make({ large: bytes }), {})
        let large: PublishedFile | undefined
        for await (const file of publisher.read(reference, { path: 'large' })) large = file
        if (large === undefined) throw new Error('nothing was read')
        const chunks = await collect(large.content())
        expect(Buffer.compare(Buffer.concat(chunks), bytes)).toBe(0)
        expect(Math.max(...chunks.map((chunk) => chunk.length))).toBeLessThanOrEqual(4 * 1024 * 1024)
        const mebibyte = 1024 * 1024
        for (const from of [0, 1, mebibyte - 1, mebibyte, mebibyte + 1, 5_000_000, bytes.length - 1, bytes.length, bytes.length + 1, 2 ** 50]) {
          const rest = Buffer.concat(await collect(large.content({ from })))
          expect(`${from}: ${rest.length}`).toBe(`${from}: ${Math.max(0, bytes.length - from)}`)
          expect(Buffer.compare(rest, bytes.subarray(from)), `from ${from}`).toBe(0)
        }
      }),
  },
  {
    name: 'a reference that nothing was published under is an error, and writes nothing',
    run: async (options) => {
      await using harness = await options.create()
      await using directory = await scratch()
      const from = directory.fresh()
      const into = directory.fresh()
      await writeFiles(from, files)
      await mkdir(into)
      await harness.publisher.publish('job', from, {})
      const signal = AbortSignal.timeout(20_000)
      for (const reference of typeof options.forged === 'function' ? await options.forged(harness) : options.forged) {
        await expect(drain(harness.publisher.fetch(reference, into, { signal })), JSON.stringify(reference)).rejects.toThrow()
        expect(await readdir(into)).toEqual([])
        await expect(drain(harness.publisher.read(reference, { signal })), JSON.stringify(reference)).rejects.toThrow()
        await expect(drain(harness.publisher.read(reference, { signal, path: 'stdout' })), JSON.stringify(reference)).rejects.toThrow()
        await expect(harness.publisher.compose('forged', stream([{ path: 'a', content: reference }]), { signal }), JSON.stringify(reference)).rejects.toThrow()
      }
    },
  },
  {
    name: 'a signal that is aborted before prevents everything',
    run: (options) =>
      withPublisher(options, async (publisher, { make, fetched }) => {
        const reason = new Error('given up')
        const signal = AbortSignal.abort(reason)
        const reference = await publisher.publish('kept', await make({ one: patternBytes(1) }), {})
        await using directory = await scratch()
        await expect(publisher.publish('job', await make({ early: patternBytes(2) }), { signal })).rejects.toBe(reason)
        await expect(publisher.compose('job', stream<Part>([]), { signal })).rejects.toBe(reason)
        await expect(drain(publisher.fetch(reference, directory.path, { signal }))).rejects.toBe(reason)
        await expect(drain(publisher.read(reference, { signal }))).rejects.toBe(reason)
        for await (const file of publisher.read(reference, {})) await expect(drain(file.content({ signal }))).rejects.toBe(reason)
        await expect(publisher.unpublish('kept', { signal })).rejects.toBe(reason)
        expect(await readdir(directory.path)).toEqual([])
        expect(await fetched(await publisher.publish('job', await make({ late: patternBytes(3) }), {}))).toEqual(asFound({ late: patternBytes(3) }))
      }),
  },
  {
    name: 'a link in a directory is not published as what it points to',
    run: (options) =>
      withPublisher(options, async (publisher, { make }) => {
        const path = await make({ plain: patternBytes(1) })
        await symlink('/etc/passwd', join(path, 'link'))
        await expect(publisher.publish('job', path, {})).rejects.toThrow()
      }),
  },
  {
    name: 'what was withdrawn can be published anew, and withdrawing twice or the unknown is no error',
    run: (options) =>
      withPublisher(options, async (publisher, { make, fetched }) => {
        await publisher.publish('job', await make({ old: patternBytes(1) }), {})
        await publisher.unpublish('job')
        await publisher.unpublish('job')
        await publisher.unpublish('never published')
        expect(await fetched(await publisher.publish('job', await make({ anew: patternBytes(2) }), {}))).toEqual(asFound({ anew: patternBytes(2) }))
      }),
  },
]

/** The cases of {@link publisherConformance}, to run one by one. */
export const publisherCases: readonly PublisherCase[] = cases.map(({ name, run }) => ({
  name,
  run: (options) => inTime(name, options.deadline ?? defaultDeadline, run(options)),
}))

/** What every {@link Publisher} promises, as a vitest suite. Differences between drivers are data in the options. */
export const publisherConformance = (options: PublisherConformance): void => {
  describe(`publisher conformance: ${options.name}`, () => {
    for (const { name, run } of publisherCases) test(name, () => run(options), (options.deadline ?? defaultDeadline) + 5000)
  })
}
