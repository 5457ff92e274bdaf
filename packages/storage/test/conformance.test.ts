import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import type { FileEntry, Reference, SourceSpec, TreeEntry } from '@skrei/job-spec'
import { expect, test } from 'vitest'
import { publisherCases, sourceCases, workspaceCases } from '../src/conformance.ts'
import type { Publisher, Source, Workspace } from '../src/index.ts'
import { localPublisher, localSource, localWorkspace } from '../src/local.ts'

// Each suite is proven here: for every one of its cases there is a driver, broken on purpose in one way, that the case catches.

const scratch = () => mkdtemp(join(tmpdir(), 'skrei-broken-'))
const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
const noLimit = { maxBytes: Number.MAX_SAFE_INTEGER }

/** A source that skips checks: the base of broken ones. */
const copying = (write: (file: FileEntry, path: string, into: string) => Promise<void>): Source['stage'] =>
  async function* (file, into) {
    const path = file.source.type === 'local' ? file.source.path : ''
    await write(file, path, into)
    yield (await stat(into)).size
  }

const brokenSources: readonly [string, string, (source: Source, root: string) => Partial<Source>][] = [
  [
    'a source that is one file lists as that file alone, with a true size and hash where they are given',
    'says nothing of alone',
    (source) => ({
      list: async function* (spec) {
        for await (const { alone: _alone, ...entry } of source.list(spec)) yield entry
      },
    }),
  ],
  [
    'a source of many files lists each once, the same each time, and every entry can be staged alone',
    'lists every file twice',
    (source) => ({
      list: async function* (spec) {
        for await (const entry of source.list(spec)) {
          yield entry
          if (entry.alone === undefined) yield entry
        }
      },
    }),
  ],
  [
    'staging writes exactly the bytes and tells how many so far',
    'loses the last byte',
    () => ({
      stage: copying(async (_file, path, into) => writeFile(into, (await readFile(path)).subarray(0, -1))),
    }),
  ],
  [
    'a file of exactly maxBytes is staged, one byte more is source-too-large and leaves nothing',
    'ignores maxBytes',
    (source) => ({
      stage: (file, into, options) => source.stage(file, into, { ...options, ...noLimit }),
    }),
  ],
  [
    'a file that is not of its planned hash is source-mismatch and leaves nothing',
    'checks no hash',
    (source) => ({
      stage: ({ hash: _hash, ...file }, into, options) => source.stage(file, into, options),
    }),
  ],
  [
    'a file that is not of its planned size is source-mismatch and leaves nothing',
    'checks no size',
    (source) => ({
      stage: ({ size: _size, ...file }, into, options) => source.stage(file, into, options),
    }),
  ],
  [
    'the sha256 of a source is carried by its entry and checked when it is staged',
    'forgets the sha256',
    (source) => ({
      list: (spec, options) => source.list({ ...spec, sha256: undefined } as unknown as SourceSpec, options),
    }),
  ],
  [
    'a signal that is aborted before prevents listing, assessing and staging',
    'passes no signal on',
    (source) => ({
      assess: (spec) => source.assess(spec),
    }),
  ],
  [
    'a signal that is aborted meanwhile ends staging and leaves nothing',
    'leaves what it has at an abort',
    () => ({
      stage: async function* (file, into, { signal }) {
        const bytes = await readFile(file.source.type === 'local' ? file.source.path : '')
        for (let start = 0; start < bytes.length; start += 1 << 20) {
          signal?.throwIfAborted()
          await appendFile(into, bytes.subarray(start, start + (1 << 20)))
          yield Math.min(start + (1 << 20), bytes.length)
        }
      },
    }),
  ],
  [
    'a caller that stops iterating leaves nothing behind',
    'cleans up only after errors',
    () => ({
      stage: copying((_file, path, into) => cp(path, into)),
    }),
  ],
  [
    'assess tells the size or nothing, and refuses nothing that can be staged',
    'says 0 for unknown',
    () => ({
      assess: async () => ({ bytes: 0, held: false, refusals: [] }),
    }),
  ],
  [
    'what cannot be had fails with its code, leaves nothing, and does not make assess fail',
    'assess throws',
    (source) => ({
      assess: async (spec) => {
        for await (const _entry of source.list(spec));
        return { held: true, refusals: [] }
      },
    }),
  ],
  [
    'a source of another type is source-invalid',
    'takes any type',
    (source, root) => ({
      list: async function* (spec) {
        if (spec.type === 'local') yield* source.list(spec)
        else yield { path: 'x', source: { type: 'local', path: join(root, 'x') } }
      },
    }),
  ],
]

test.each(brokenSources)('source case «%s» catches a driver that %s', async (name, _defect, breakIt) => {
  const found = sourceCases.find((one) => one.name === name)
  if (found === undefined) throw new Error(`no case ${name}`)
  const options = (broken: boolean) => ({
    name: 'broken',
    create: async () => {
      const root = await scratch()
      const source = localSource({ allow: [root], base: root })
      let count = 0
      const next = () => {
        count += 1
        return join(root, String(count))
      }
      const put = async (path: string, bytes: Uint8Array) => {
        await mkdir(dirname(path), { recursive: true })
        await writeFile(path, bytes)
        return { type: 'local', path } as const
      }
      return {
        source: broken ? { ...source, ...breakIt(source, root) } : source,
        putFile: (bytes: Uint8Array) => put(next(), bytes),
        putFiles: async (files: Readonly<Record<string, Uint8Array>>) => {
          for (const [path, bytes] of Object.entries(files)) await put(join(root, 'many', path), bytes)
          return { type: 'local', path: join(root, 'many') } as const
        },
        [Symbol.asyncDispose]: () => rm(root, { recursive: true }),
      }
    },
    failing: [{ name: 'missing', code: 'source-not-found' as const, source: () => ({ type: 'local' as const, path: 'missing' }) }],
  })
  await found.run(options(false))
  await expect(found.run(options(true))).rejects.toThrow()
})

const brokenPublishers: readonly [string, string, (publisher: Publisher, root: string) => Partial<Publisher>][] = [
  [
    'what was published is fetched as it was, also when its directory is gone by then',
    'refers to the directory instead of copying it',
    () => {
      const asItIs = async (_id: string, directory: string): Promise<Reference> => ({ type: 'local', path: directory })
      return {
        publish: asItIs,
        fetch: async function* (reference, into) {
          await cp(reference.path ?? '', into, { recursive: true })
          yield 1
        },
      }
    },
  ],
  [
    'fetching tells how many bytes so far',
    'counts each file from 0',
    (publisher) => ({
      fetch: async function* (reference, into, options) {
        let before = 0
        for await (const bytes of publisher.fetch(reference, into, options)) {
          yield bytes - before
          before = bytes
        }
      },
    }),
  ],
  [
    'publishing the same id again answers the same reference and changes nothing',
    'replaces what is there',
    (publisher) => ({
      publish: async (id, directory, options) => {
        await publisher.unpublish(id)
        return await publisher.publish(id, directory, options)
      },
    }),
  ],
  [
    'ids of odd characters do not meet each other and do not leave the publisher',
    'uses the last part of an id',
    (publisher) => ({
      publish: (id, directory, options) => publisher.publish(basename(id), directory, options),
    }),
  ],
  [
    'compose makes one directory of published parts, bytes and streams of bytes, in any order',
    'forgets bytes after the first reference',
    (publisher) => ({
      compose: (id, entries, options) =>
        publisher.compose(
          id,
          (async function* () {
            let reference = false
            for await (const entry of entries) {
              if (!(entry.content instanceof Uint8Array)) reference = true
              if (!reference || !(entry.content instanceof Uint8Array)) yield entry
            }
          })(),
          options,
        ),
    }),
  ],
  [
    'withdrawing a part leaves what was composed of it whole',
    'withdraws what was composed too',
    (publisher) => ({
      unpublish: async (id) => {
        await publisher.unpublish(id)
        await publisher.unpublish('whole')
      },
    }),
  ],
  [
    'compose refuses paths that are not plain, and two entries of one path, and publishes nothing then',
    'drops entries of bad paths',
    (publisher) => ({
      compose: (id, entries, options) =>
        publisher.compose(
          id,
          (async function* () {
            for await (const entry of entries) if (!entry.path.includes('..') && entry.path !== '') yield entry
          })(),
          options,
        ),
    }),
  ],
  [
    'read gives every file with its size, in the order of the bytes of its whole path, of what was published and of what was composed',
    'sorts as strings',
    (publisher) => ({
      read: async function* (reference, options) {
        yield* (await collect(publisher.read(reference, options))).sort((left, right) => (left.path < right.path ? -1 : 1))
      },
    }),
  ],
  [
    'read gives every file with its size, in the order of the bytes of its whole path, of what was published and of what was composed',
    'does not know sizes',
    (publisher) => ({
      read: async function* (reference, options) {
        for await (const file of publisher.read(reference, options)) yield { ...file, size: 0 }
      },
    }),
  ],
  [
    'read with a path gives that file alone, or what lies below that directory, and nothing where nothing is',
    'takes a path for the beginning of a name',
    (publisher) => ({
      read: async function* (reference, options) {
        for await (const file of publisher.read(reference, {})) if (file.path.startsWith(options.path ?? '')) yield file
      },
    }),
  ],
  [
    'read with a path gives that file alone, or what lies below that directory, and nothing where nothing is',
    'names files as from the path',
    (publisher) => ({
      read: async function* (reference, options) {
        const from = options.path === undefined ? 0 : options.path.length + 1
        for await (const file of publisher.read(reference, options)) yield { ...file, path: file.path.slice(from) || file.path }
      },
    }),
  ],
  [
    'read never leaves the publication: a path that is not plain gives nothing, or is an error',
    'goes where a path leads',
    () => ({
      read: async function* (reference, options) {
        const path = join(reference.path ?? '', options.path ?? '').replaceAll('\0', '')
        if (
          await stat(path)
            .then((found) => found.isDirectory())
            .catch(() => true)
        )
          return
        const { size } = await stat(path)
        yield {
          path: options.path ?? '',
          size,
          content: async function* () {
            yield await readFile(path)
          },
        }
      },
    }),
  ],
  [
    'the content of a file is read from any byte on, in chunks, as often as it is asked for, and beyond its end there is nothing',
    'reads whole files',
    (publisher) => ({
      read: async function* (reference, options) {
        for await (const file of publisher.read(reference, options))
          yield {
            ...file,
            content: async function* (given) {
              yield Buffer.concat(await collect(file.content(given)))
            },
          }
      },
    }),
  ],
  [
    'the content of a file is read from any byte on, in chunks, as often as it is asked for, and beyond its end there is nothing',
    'reads from the start',
    (publisher) => ({
      read: async function* (reference, options) {
        for await (const file of publisher.read(reference, options)) yield { ...file, content: () => file.content() }
      },
    }),
  ],
  [
    'the content of a file is read from any byte on, in chunks, as often as it is asked for, and beyond its end there is nothing',
    'reads once',
    (publisher) => ({
      read: async function* (reference, options) {
        for await (const file of publisher.read(reference, options)) {
          const content = file.content()
          yield { ...file, content: () => content }
        }
      },
    }),
  ],
  [
    'a reference that nothing was published under is an error, and writes nothing',
    'reads nothing of what is not published',
    (publisher) => ({
      read: async function* (reference, options) {
        try {
          yield* publisher.read(reference, options)
        } catch {}
      },
    }),
  ],
  [
    'a reference that nothing was published under is an error, and writes nothing',
    'fetches any path',
    () => ({
      fetch: async function* (reference, into) {
        await cp(join(reference.path ?? '', 'hostname'), join(into, 'hostname')).catch(() => undefined)
        yield 1
      },
    }),
  ],
  [
    'a signal that is aborted before prevents everything',
    'publishes in spite of an abort',
    (publisher) => ({
      publish: async (id, directory, { signal }) => {
        const reference = await publisher.publish(id, directory, {})
        signal?.throwIfAborted()
        return reference
      },
    }),
  ],
  [
    'a signal that is aborted before prevents everything',
    'reads content in spite of an abort',
    (publisher) => ({
      read: async function* (reference, options) {
        for await (const file of publisher.read(reference, options)) yield { ...file, content: () => file.content() }
      },
    }),
  ],
  [
    'a link in a directory is not published as what it points to',
    'follows links',
    (publisher, root) => ({
      publish: async (id, directory, options) => {
        const copy = await mkdtemp(join(root, 'copy-'))
        await cp(directory, copy, { recursive: true, dereference: true })
        return await publisher.publish(id, copy, options)
      },
    }),
  ],
  [
    'what was withdrawn can be published anew, and withdrawing twice or the unknown is no error',
    'withdraws only what it knows',
    (publisher) => {
      const known = new Set<string>()
      return {
        publish: (id, directory, options) => {
          known.add(id)
          return publisher.publish(id, directory, options)
        },
        unpublish: async (id) => {
          if (!known.delete(id)) throw new Error('unknown')
          await publisher.unpublish(id)
        },
      }
    },
  ],
]

test.each(brokenPublishers)('publisher case «%s» catches a driver that %s', async (name, _defect, breakIt) => {
  const found = publisherCases.find((one) => one.name === name)
  if (found === undefined) throw new Error(`no case ${name}`)
  const options = (broken: boolean) => ({
    name: 'broken',
    create: async () => {
      const root = await scratch()
      const publisher = localPublisher({ directory: join(root, 'published') })
      return { publisher: broken ? { ...publisher, ...breakIt(publisher, root) } : publisher, [Symbol.asyncDispose]: () => rm(root, { recursive: true }) }
    },
    forged: [{ type: 'local', path: '/etc' }],
  })
  await found.run(options(false))
  await expect(found.run(options(true))).rejects.toThrow()
})

const streamPath = async (workspace: Workspace, id: string, name: string) => join(await workspace.toPublish(id), name)

const brokenWorkspaces: readonly [string, string, (workspace: Workspace, root: string) => Partial<Workspace>][] = [
  [
    'an opened id has its named outputs, what is to be published holds outputs, stdout and stderr, and asking again changes nothing',
    'starts anew at each open',
    (workspace) => ({
      open: async (id, outputNames) => {
        await workspace.remove(id)
        return await workspace.open(id, outputNames)
      },
    }),
  ],
  [
    'an execution that nothing was put into can be followed, sealed, listed, published and removed',
    'publishes only what was put there',
    (workspace) => ({
      toPublish: async (id) => dirname((await workspace.open(id)).outputs),
    }),
  ],
  [
    'appends write at their offset, and the same bytes again change nothing',
    'appends at the end',
    (workspace) => ({
      append: async (id, name, _offset, bytes) => appendFile(await streamPath(workspace, id, name), bytes),
    }),
  ],
  [
    'appends that are not waited for keep their order',
    'starts each append after a while of its own',
    (workspace) => ({
      append: async (id, name, offset, bytes) => {
        for (let turn = offset % 4; turn < 3; turn += 1) await stat(tmpdir())
        await workspace.append(id, name, offset, bytes)
      },
    }),
  ],
  [
    'an append that would leave a hole, or to what is not open, is an error',
    'fills holes with zeros',
    (workspace) => ({
      append: async (id, name, offset, bytes) => {
        const file = await streamPath(workspace, id, name)
        const content = await readFile(file)
        await writeFile(file, Buffer.concat([content, Buffer.alloc(Math.max(0, offset - content.length)), bytes]))
      },
    }),
  ],
  ['after seal the same bytes are still taken, new ones are an error, and nothing changes', 'seals nothing', () => ({ seal: async () => {} })],
  [
    'a tail gives what is there, then what comes, and ends with the seal',
    'ends when it has all that is there',
    (workspace) => ({
      tail: async function* (id, name, from) {
        const bytes = (await readFile(await streamPath(workspace, id, name))).subarray(from)
        if (bytes.length > 0) yield bytes
      },
    }),
  ],
  [
    'a large stream is tailed whole in chunks',
    'reads all at once',
    (workspace) => ({
      tail: async function* (id, name, from) {
        yield (await readFile(await streamPath(workspace, id, name))).subarray(from)
      },
    }),
  ],
  [
    'a tail ends with its signal, with remove, after a restart with an earlier seal, and at once for the unknown',
    'throws for what is not open',
    (workspace) => ({
      tail: async function* (id, name, from, options) {
        for await (const open of workspace.leftovers()) if (open === id) return yield* workspace.tail(id, name, from, options)
        throw new Error('not open')
      },
    }),
  ],
  [
    'entries are the files under outputs, sorted by the bytes of their whole path, with their size and content',
    'sorts as strings',
    (workspace) => ({
      entries: async function* (id) {
        const all: TreeEntry[] = []
        for await (const entry of workspace.entries(id)) all.push(entry)
        yield* all.sort((left, right) => (left.path < right.path ? -1 : 1))
      },
    }),
  ],
  [
    'an entry is read in chunks and again from its start',
    'reads an entry once',
    (workspace) => ({
      entries: async function* (id) {
        for await (const entry of workspace.entries(id)) {
          const content = entry.open()
          yield { ...entry, open: () => content }
        }
      },
    }),
  ],
  [
    'links among the outputs are output-unsafe, wherever they lead',
    'skips links',
    (workspace) => ({
      entries: async function* (id) {
        const { outputs } = await workspace.open(id)
        for (const entry of await readdir(outputs, { recursive: true, withFileTypes: true })) {
          const absolute = join(entry.parentPath, entry.name)
          if (entry.isFile())
            yield {
              path: absolute.slice(outputs.length + 1),
              size: (await stat(absolute)).size,
              open: async function* () {
                yield await readFile(absolute)
              },
            }
        }
      },
    }),
  ],
  [
    'a file that is replaced by a link, or changed, after it was listed is output-unsafe',
    'opens by name',
    (workspace) => ({
      entries: async function* (id) {
        const { outputs } = await workspace.open(id)
        for await (const entry of workspace.entries(id))
          yield {
            ...entry,
            open: async function* () {
              yield await readFile(join(outputs, entry.path))
            },
          }
      },
    }),
  ],
  [
    'entries of what is not open are an error, and honour their signal',
    'takes the unknown for empty',
    (workspace) => ({
      entries: async function* (id, options) {
        await workspace.open(id)
        yield* workspace.entries(id, options)
      },
    }),
  ],
  [
    'remove deletes everything, directories that may not be written included, and can be repeated',
    'only moves away',
    (workspace, root) => ({
      remove: async (id) => {
        const publish = await workspace.toPublish(id)
        await rename(dirname(publish), join(root, 'executions', `${id}-removed`))
      },
    }),
  ],
  [
    'open makes the named output directories, place makes the directories of a file and clears what an earlier try left',
    'leaves what an earlier try left',
    (workspace) => ({
      place: async (id, area, path) => {
        const file = workspace.locate(id, area, path)
        await mkdir(dirname(file), { recursive: true })
        return file
      },
    }),
  ],
  [
    'place refuses paths that leave their area or pass through a file',
    'puts a file anywhere',
    (workspace) => ({
      place: async (id, _area, path) => {
        const file = join((await workspace.open(id)).inputs, path.replaceAll('\0', ''))
        await mkdir(dirname(file), { recursive: true })
        return file
      },
    }),
  ],
  [
    'what was received is what entries tell, and nothing received is no entry',
    'receives into what is there',
    (workspace) => ({
      receive: (id) => workspace.toPublish(id),
    }),
  ],
  [
    'ids of odd characters are kept apart, stay inside, and come back as leftovers',
    'folds case',
    (workspace) => ({
      open: (id) => workspace.open(id.toLowerCase()),
      append: (id, name, offset, bytes) => workspace.append(id.toLowerCase(), name, offset, bytes),
    }),
  ],
]

test.each(brokenWorkspaces)('workspace case «%s» catches a driver that %s', async (name, _defect, breakIt) => {
  const found = workspaceCases.find((one) => one.name === name)
  if (found === undefined) throw new Error(`no case ${name}`)
  const options = (broken: boolean) => ({
    name: 'broken',
    create: async () => {
      const root = await scratch()
      const make = () => {
        const workspace = localWorkspace({ directory: join(root, 'executions') })
        return broken ? { ...workspace, ...breakIt(workspace, root) } : workspace
      }
      return { workspace: make(), reopen: make, [Symbol.asyncDispose]: () => rm(root, { recursive: true }) }
    },
  })
  await found.run(options(false))
  await expect(found.run(options(true))).rejects.toThrow()
})

test('every case of every suite has a broken driver that it catches', () => {
  const proven = [...brokenSources, ...brokenPublishers, ...brokenWorkspaces].map(([name]) => name)
  expect([...sourceCases, ...publisherCases, ...workspaceCases].map(({ name }) => name).filter((name) => !proven.includes(name))).toEqual([])
})

test('a driver that hangs fails the case by its name, within the deadline', async () => {
  const root = await scratch()
  const never = new Promise<never>(() => {})
  const create = async () => ({
    workspace: { ...localWorkspace({ directory: root }), open: () => never },
    reopen: () => localWorkspace({ directory: root }),
    [Symbol.asyncDispose]: () => never,
  })
  const [first] = workspaceCases
  try {
    await expect(first?.run({ name: 'hangs', create, deadline: 50 })).rejects.toThrow(`"${first?.name}" has not ended within 50 ms: the driver hangs`)
  } finally {
    await rm(root, { recursive: true, force: true })
  }
})

test('what a source is not checked for says why', async () => {
  const root = await scratch()
  const create = async () => ({
    source: localSource({ allow: [root], base: root }),
    putFile: async () => ({ type: 'local', path: 'missing' }) as const,
    [Symbol.asyncDispose]: async () => {},
  })
  const reasons: string[] = []
  for (const name of ['a source of many files lists each once', 'what cannot be had fails with its code'])
    await sourceCases.find((one) => one.name.startsWith(name))?.run({ name: 'bare', create }, (why) => void reasons.push(why))
  await rm(root, { recursive: true })
  expect(reasons).toEqual(['a source of this type is always one file: no putFiles', 'no source that must fail was named: option failing'])
})
