import { createHash } from 'node:crypto'
import { access, readFile } from 'node:fs/promises'
import { type FailureCode, type FileEntry, failureOf, fileEntrySchema, type SourceSpec } from '@skrei/job-spec'
import { describe, expect, test } from 'vitest'
import type { Source } from '../index.ts'
import { defaultDeadline, inTime } from './in-time.ts'
import { collect, drain, patternBytes, scratch } from './scratch.ts'

/** A source driver with somewhere to put what it reads. Made anew for each test. */
export interface SourceHarness extends AsyncDisposable {
  readonly source: Source
  /** A source that is one file with this content. */
  putFile(bytes: Uint8Array): Promise<SourceSpec>
  /** A source that holds these files, by path. Leave out where a source of this type is always one file. */
  putFiles?(files: Readonly<Record<string, Uint8Array>>): Promise<SourceSpec>
}

export interface SourceConformance {
  readonly name: string
  create(): Promise<SourceHarness>
  /** Milliseconds that a case may take. Default 30,000. */
  readonly deadline?: number
  /** The largest file that the driver takes, where that is less than 4 MiB. */
  readonly largest?: number
  /** Whether `putFiles` takes paths with directories. Default true. */
  readonly nested?: boolean
  /** Sources that must fail, when they are listed or staged, with this code. */
  readonly failing?: readonly {
    readonly name: string
    readonly code: FailureCode
    readonly source: (harness: SourceHarness) => SourceSpec | Promise<SourceSpec>
  }[]
}

export interface SourceCase {
  readonly name: string
  /** Rejects where the driver breaks the promise, or has not done with it within the deadline. `skip` is told why nothing is checked. */
  run(options: SourceConformance, skip?: (why: string) => void): Promise<void>
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const large = (options: SourceConformance) => Math.min(options.largest ?? Number.POSITIVE_INFINITY, 4 * 1024 * 1024 - 3)
const noLimit = { maxBytes: Number.MAX_SAFE_INTEGER }

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )

const codeOf = async (work: Promise<unknown>): Promise<FailureCode | 'no error'> => {
  try {
    await work
  } catch (error) {
    const failure = failureOf(error)
    if (failure === undefined) throw error
    return failure.code
  }
  return 'no error'
}

const onlyEntry = async (source: Source, spec: SourceSpec): Promise<FileEntry> => {
  const [entry, ...more] = await collect(source.list(spec))
  if (entry === undefined || more.length > 0) throw new Error(`expected one entry, got ${entry === undefined ? 0 : more.length + 1}`)
  return entry
}

/** Without what a driver already knows of the content, so that only the case's own expectation can fail. */
const bare = (entry: FileEntry): FileEntry => ({ path: entry.path, source: entry.source })

const withFile = async (
  options: SourceConformance,
  bytes: Uint8Array,
  check: (source: Source, entry: FileEntry, into: string, spec: SourceSpec) => Promise<void>,
) => {
  await using harness = await options.create()
  await using directory = await scratch()
  const spec = await harness.putFile(bytes)
  await check(harness.source, await onlyEntry(harness.source, spec), directory.fresh(), spec)
}

const expectRefusal = async (source: Source, entry: FileEntry, into: string, code: FailureCode, maxBytes = noLimit.maxBytes) => {
  expect(await codeOf(drain(source.stage(entry, into, { maxBytes })))).toBe(code)
  expect(await exists(into)).toBe(false)
}

const severalFiles = (options: SourceConformance): Record<string, Uint8Array> => {
  const flat = { 'b.csv': patternBytes(10, 2), 'a.csv': patternBytes(20, 3), 'empty.txt': new Uint8Array(), 'name with spaces ü.txt': patternBytes(5, 4) }
  return options.nested === false
    ? flat
    : { ...flat, 'a/z': patternBytes(7, 5), 'a/b/c': patternBytes(8, 6), 'a-b': patternBytes(9, 7), a0: patternBytes(11, 8) }
}

const cases: readonly SourceCase[] = [
  {
    name: 'a source that is one file lists as that file alone, with a true size and hash where they are given',
    run: (options) =>
      withFile(options, patternBytes(1000), async (source, entry) => {
        expect(fileEntrySchema.parse(entry)).toEqual(entry)
        expect(entry.alone).toBe(true)
        expect(entry.path).toMatch(/^[^/\0]+$/)
        expect(['.', '..']).not.toContain(entry.path)
        expect(entry.source.type).toBe(source.type)
        expect(entry.size ?? 1000).toBe(1000)
        expect(entry.hash ?? sha256(patternBytes(1000))).toBe(sha256(patternBytes(1000)))
      }),
  },
  {
    name: 'a source of many files lists each once, the same each time, and every entry can be staged alone',
    run: async (options, skip = () => {}) => {
      await using harness = await options.create()
      if (harness.putFiles === undefined) return skip('a source of this type is always one file: no putFiles')
      await using directory = await scratch()
      const files = severalFiles(options)
      const spec = await harness.putFiles(files)
      const entries = await collect(harness.source.list(spec))
      expect(entries.map((entry) => entry.path).sort()).toEqual(Object.keys(files).sort())
      expect(await collect(harness.source.list(spec))).toEqual(entries)
      for (const entry of entries) {
        expect(fileEntrySchema.parse(entry)).toEqual(entry)
        expect(entry.alone).toBeUndefined()
        const into = directory.fresh()
        await drain(harness.source.stage(entry, into, noLimit))
        expect(Buffer.compare(await readFile(into), files[entry.path] ?? Buffer.from('unknown path'))).toBe(0)
        if (entry.size !== undefined) expect(entry.size).toBe(files[entry.path]?.length)
      }
    },
  },
  {
    name: 'staging writes exactly the bytes and tells how many so far',
    run: async (options) => {
      for (const size of [0, 1, 65_537, large(options)]) {
        const bytes = patternBytes(size)
        await withFile(options, bytes, async (source, entry, into) => {
          const progress = await collect(source.stage({ ...entry, hash: sha256(bytes) }, into, noLimit))
          expect(Buffer.compare(await readFile(into), bytes)).toBe(0)
          expect(progress.at(-1)).toBe(size)
          expect(progress).toEqual([...progress].sort((left, right) => left - right))
        })
      }
    },
  },
  {
    name: 'a file of exactly maxBytes is staged, one byte more is source-too-large and leaves nothing',
    run: (options) =>
      withFile(options, patternBytes(large(options)), async (source, entry, into) => {
        await expectRefusal(source, entry, into, 'source-too-large', large(options) - 1)
        await expectRefusal(source, bare(entry), into, 'source-too-large', 0)
        await drain(source.stage(entry, into, { maxBytes: large(options) }))
        expect(await exists(into)).toBe(true)
      }),
  },
  {
    name: 'a file that is not of its planned hash is source-mismatch and leaves nothing',
    run: (options) =>
      withFile(options, patternBytes(3000), (source, entry, into) =>
        expectRefusal(source, { ...bare(entry), hash: sha256(patternBytes(3001)) }, into, 'source-mismatch'),
      ),
  },
  {
    name: 'a file that is not of its planned size is source-mismatch and leaves nothing',
    run: (options) =>
      withFile(options, patternBytes(3000), async (source, entry, into) => {
        await expectRefusal(source, { ...bare(entry), size: 2999 }, into, 'source-mismatch')
        await expectRefusal(source, { ...bare(entry), size: 3001 }, into, 'source-mismatch')
      }),
  },
  {
    name: 'the sha256 of a source is carried by its entry and checked when it is staged',
    run: async (options) => {
      await using harness = await options.create()
      await using directory = await scratch()
      const bytes = patternBytes(3000)
      const spec = await harness.putFile(bytes)
      const into = directory.fresh()
      await drain(harness.source.stage(await onlyEntry(harness.source, { ...spec, sha256: sha256(bytes) }), into, noLimit))
      expect(Buffer.compare(await readFile(into), bytes)).toBe(0)
      const wrong = async () => {
        const target = directory.fresh()
        try {
          await drain(harness.source.stage(await onlyEntry(harness.source, { ...spec, sha256: sha256(patternBytes(1)) }), target, noLimit))
        } finally {
          expect(await exists(target)).toBe(false)
        }
      }
      expect(await codeOf(wrong())).toBe('source-mismatch')
    },
  },
  {
    name: 'a signal that is aborted before prevents listing, assessing and staging',
    run: (options) =>
      withFile(options, patternBytes(100), async (source, entry, into, spec) => {
        const reason = new Error('given up')
        const signal = AbortSignal.abort(reason)
        await expect(collect(source.list(spec, { signal }))).rejects.toBe(reason)
        await expect(source.assess(spec, { signal })).rejects.toBe(reason)
        await expect(collect(source.stage(entry, into, { ...noLimit, signal }))).rejects.toBe(reason)
        expect(await exists(into)).toBe(false)
      }),
  },
  {
    name: 'a signal that is aborted meanwhile ends staging and leaves nothing',
    run: (options) =>
      withFile(options, patternBytes(large(options)), async (source, entry, into) => {
        const controller = new AbortController()
        const reason = new Error('given up')
        let last = 0
        const work = async () => {
          for await (last of source.stage(entry, into, { ...noLimit, signal: controller.signal })) controller.abort(reason)
        }
        const error: unknown = await work().then(
          () => undefined,
          (thrown: unknown) => thrown,
        )
        // A driver may have had everything by its first report.
        if (error === undefined) expect(last).toBe(large(options))
        else expect(error).toBe(reason)
        expect(await exists(into)).toBe(error === undefined)
      }),
  },
  {
    name: 'a caller that stops iterating leaves nothing behind',
    run: (options) =>
      withFile(options, patternBytes(large(options)), async (source, entry, into) => {
        for await (const _bytes of source.stage(entry, into, noLimit)) break
        expect(await exists(into)).toBe(false)
      }),
  },
  {
    name: 'assess tells the size or nothing, and refuses nothing that can be staged',
    run: (options) =>
      withFile(options, patternBytes(1234), async (source, _entry, _into, spec) => {
        const assessed = await source.assess(spec)
        expect(assessed.bytes ?? 1234).toBe(1234)
        expect(typeof assessed.held).toBe('boolean')
        expect(assessed.refusals).toEqual([])
      }),
  },
  {
    name: 'what cannot be had fails with its code, leaves nothing, and does not make assess fail',
    run: async (options, skip = () => {}) => {
      if (options.failing === undefined) return skip('no source that must fail was named: option failing')
      for (const failing of options.failing) {
        await using harness = await options.create()
        await using directory = await scratch()
        const spec = await failing.source(harness)
        const into = directory.fresh()
        const work = async () => {
          for await (const entry of harness.source.list(spec)) await drain(harness.source.stage(entry, into, noLimit))
        }
        expect(`${failing.name}: ${await codeOf(work())}`).toBe(`${failing.name}: ${failing.code}`)
        expect(await exists(into)).toBe(false)
        const assessed = await harness.source.assess(spec)
        if (failing.code === 'source-forbidden') expect(assessed.refusals.map((refusal) => refusal.code)).toEqual(['source-forbidden'])
      }
    },
  },
  {
    name: 'a source of another type is source-invalid',
    run: async (options) => {
      await using harness = await options.create()
      await using directory = await scratch()
      const foreign: SourceSpec = harness.source.type === 'inline' ? { type: 'local', path: '/nowhere' } : { type: 'inline', text: 'hello' }
      expect(await codeOf(collect(harness.source.list(foreign)))).toBe('source-invalid')
      expect(await codeOf(collect(harness.source.stage({ path: 'x', source: foreign }, directory.fresh(), noLimit)))).toBe('source-invalid')
    },
  },
]

/** The cases of {@link sourceConformance}, to run one by one. */
export const sourceCases: readonly SourceCase[] = cases.map(({ name, run }) => ({
  name,
  run: (options, skip) => inTime(name, options.deadline ?? defaultDeadline, run(options, skip)),
}))

/** What every {@link Source} promises, as a vitest suite. Differences between drivers are data in the options. */
export const sourceConformance = (options: SourceConformance): void => {
  describe(`source conformance: ${options.name}`, () => {
    for (const { name, run } of sourceCases) test(name, ({ skip }) => run(options, skip), (options.deadline ?? defaultDeadline) + 5000)
  })
}
