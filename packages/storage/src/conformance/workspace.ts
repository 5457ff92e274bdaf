import { chmod, link, mkdir, readdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { failureOf } from '@skrei/job-spec'
import { describe, expect, test } from 'vitest'
import type { StreamName, Workspace } from '../index.ts'
import { defaultDeadline, inTime } from './in-time.ts'
import { collect, drain, filesOf, patternBytes, scratch, writeFiles } from './scratch.ts'

/** A workspace that holds nothing. Made anew for each test. */
export interface WorkspaceHarness extends AsyncDisposable {
  readonly workspace: Workspace
  /** The workspace as the next process sees it: a new object on the same folder. */
  reopen(): Workspace
}

export interface WorkspaceConformance {
  readonly name: string
  create(): Promise<WorkspaceHarness>
  /** Milliseconds that a case may take. Default 30,000. */
  readonly deadline?: number
}

export interface WorkspaceCase {
  readonly name: string
  /** Rejects where the driver breaks the promise, or has not done with it within the deadline. */
  run(options: WorkspaceConformance): Promise<void>
}

const withWorkspace = async (options: WorkspaceConformance, check: (workspace: Workspace, harness: WorkspaceHarness) => Promise<void>) => {
  await using harness = await options.create()
  await check(harness.workspace, harness)
}

const text = (value: string) => Buffer.from(value)
const textOf = (chunks: readonly Uint8Array[]) => Buffer.concat(chunks).toString()
const streams: readonly StreamName[] = ['stdout', 'stderr', 'evidence']

/** A tail that is read step by step. */
const follow = (workspace: Workspace, id: string, name: StreamName, from: number, signal?: AbortSignal) => {
  const iterator = workspace.tail(id, name, from, signal === undefined ? {} : { signal })[Symbol.asyncIterator]()
  return {
    /** The next `length` bytes, or less if the tail ends. */
    next: async (length: number): Promise<string> => {
      let seen = ''
      while (seen.length < length) {
        const step = await iterator.next()
        if (step.done) return `${seen}<end>`
        seen += Buffer.from(step.value).toString('latin1')
      }
      return seen
    },
    rest: async (): Promise<string> => {
      let seen = ''
      for (let step = await iterator.next(); !step.done; step = await iterator.next()) seen += Buffer.from(step.value).toString('latin1')
      return seen
    },
  }
}

const unsafeCode = async (workspace: Workspace, id: string) => {
  try {
    for await (const entry of workspace.entries(id)) await drain(entry.open())
  } catch (error) {
    return failureOf(error)?.code ?? String(error)
  }
  return 'no error'
}

const cases: readonly WorkspaceCase[] = [
  {
    name: 'an opened id has its named outputs, what is to be published holds outputs, stdout and stderr, and asking again changes nothing',
    run: (options) =>
      withWorkspace(options, async (workspace, { reopen }) => {
        const places = await workspace.open('job', ['made'])
        expect((await stat(join(places.outputs, 'made'))).isDirectory()).toBe(true)
        await workspace.append('job', 'stdout', 0, text('hello'))
        await writeFile(join(places.outputs, 'made', 'result'), 'x')
        expect(await workspace.open('job', ['made'])).toEqual(places)
        expect(await reopen().open('job', ['made'])).toEqual(places)
        const publish = await workspace.toPublish('job')
        expect(places.outputs).toBe(join(publish, 'outputs'))
        expect((await readdir(publish)).sort()).toEqual(['outputs', 'stderr', 'stdout'])
        expect(await workspace.toPublish('job')).toBe(publish)
        expect(await reopen().toPublish('job')).toBe(publish)
        expect(await filesOf(publish)).toEqual({ 'outputs/made/result': 'x', stderr: '', stdout: 'hello' })
      }),
  },
  {
    name: 'an execution that nothing was put into can be followed, sealed, listed, published and removed',
    run: (options) =>
      withWorkspace(options, async (workspace, { reopen }) => {
        await workspace.open('job')
        expect(await collect(workspace.leftovers())).toEqual(['job'])
        const tail = follow(workspace, 'job', 'stdout', 0).rest()
        await workspace.seal('job')
        expect(await tail).toBe('')
        await expect(workspace.append('job', 'stdout', 0, text('x'))).rejects.toThrow()
        await workspace.append('job', 'stdout', 0, text(''))
        expect(await collect(workspace.entries('job'))).toEqual([])
        const publish = await workspace.toPublish('job')
        expect((await readdir(publish)).sort()).toEqual(['outputs', 'stderr', 'stdout'])
        expect(await filesOf(publish)).toEqual({ stdout: '', stderr: '' })
        // Now that it lies on the disk, a later process knows of it, and that it was sealed.
        expect(await collect(reopen().tail('job', 'stdout', 0, {}))).toEqual([])
        await expect(reopen().append('job', 'stdout', 0, text('x'))).rejects.toThrow()
        await workspace.remove('job')
        await expect(stat(publish)).rejects.toThrow()
        expect(await collect(workspace.leftovers())).toEqual([])
      }),
  },
  {
    name: 'open makes the named output directories, place makes the directories of a file and clears what an earlier try left',
    run: (options) =>
      withWorkspace(options, async (workspace) => {
        const { inputs, outputs } = await workspace.open('job', ['counts', 'logs'])
        expect((await readdir(outputs)).sort()).toEqual(['counts', 'logs'])
        const file = await workspace.place('job', 'inputs', 'inputs/deep/a.csv')
        expect(file).toBe(join(inputs, 'inputs', 'deep', 'a.csv'))
        await writeFile(file, 'half')
        expect(await workspace.place('job', 'inputs', 'inputs/deep/a.csv')).toBe(file)
        expect(await readdir(join(inputs, 'inputs', 'deep'))).toEqual([])
        // A directory gives way too, with what was placed in it; and comes back when it is asked for again.
        await writeFile(file, 'x')
        const directory = await workspace.place('job', 'inputs', 'inputs/deep')
        expect(await readdir(join(inputs, 'inputs'))).toEqual([])
        await writeFile(await workspace.place('job', 'inputs', 'inputs/other'), 'x')
        expect(await workspace.place('job', 'inputs', 'inputs/deep/a.csv')).toBe(file)
        expect(await readdir(directory)).toEqual([])
        const module = await workspace.place('job', 'files', 'module')
        expect(workspace.locate('job', 'files', 'module')).toBe(module)
      }),
  },
  {
    name: 'place refuses paths that leave their area or pass through a file',
    run: (options) =>
      withWorkspace(options, async (workspace) => {
        await workspace.open('job')
        for (const path of ['../x', 'a/../../x', '/x', 'a//b', './a', '', 'a/\0']) {
          await expect(workspace.place('job', 'inputs', path)).rejects.toMatchObject({ failure: { code: 'source-invalid' } })
        }
        await writeFile(await workspace.place('job', 'inputs', 'a'), 'x')
        await expect(workspace.place('job', 'inputs', 'a/b')).rejects.toMatchObject({ failure: { code: 'source-invalid' } })
      }),
  },
  {
    name: 'what was received is what entries tell, and nothing received is no entry',
    run: (options) =>
      withWorkspace(options, async (workspace) => {
        const publish = await workspace.receive('job')
        expect(await readdir(publish)).toEqual([])
        const none: string[] = []
        for await (const { path } of workspace.entries('job')) none.push(path)
        expect(none).toEqual([])
        await mkdir(join(publish, 'outputs'))
        await writeFile(join(publish, 'outputs', 'a'), 'x')
        const some: string[] = []
        for await (const { path } of workspace.entries('job')) some.push(path)
        expect(some).toEqual(['a'])
        await writeFile(join(publish, 'stdout'), 'said')
        await workspace.seal('job')
        const said: Uint8Array[] = []
        for (const name of ['stdout', 'stderr'] as const) for await (const bytes of workspace.tail('job', name, 0, {})) said.push(bytes)
        expect(Buffer.concat(said).toString()).toBe('said')
        expect(await readdir(await workspace.receive('job'))).toEqual([])
      }),
  },
  {
    name: 'appends write at their offset, and the same bytes again change nothing',
    run: (options) =>
      withWorkspace(options, async (workspace, { reopen }) => {
        await workspace.open('job')
        for (const name of streams) {
          await workspace.append('job', name, 0, text('hello '))
          await workspace.append('job', name, 6, text('world'))
          await workspace.append('job', name, 0, text('hello '))
          await reopen().append('job', name, 3, text('lo world!'))
        }
        expect(await filesOf(await workspace.toPublish('job'))).toEqual({ stdout: 'hello world!', stderr: 'hello world!', evidence: 'hello world!' })
        await workspace.seal('job')
        expect(textOf(await collect(workspace.tail('job', 'evidence', 0, {})))).toBe('hello world!')
      }),
  },
  {
    name: 'appends that are not waited for keep their order',
    run: (options) =>
      withWorkspace(options, async (workspace) => {
        await workspace.open('job')
        await Promise.all(Array.from({ length: 50 }, (_unused, index) => workspace.append('job', 'stdout', index * 2, text(String(10 + index)))))
        expect(await readFile(join(await workspace.toPublish('job'), 'stdout'), 'utf8')).toBe(
          Array.from({ length: 50 }, (_unused, index) => String(10 + index)).join(''),
        )
      }),
  },
  {
    name: 'an append that would leave a hole, or to what is not open, is an error',
    run: (options) =>
      withWorkspace(options, async (workspace) => {
        await workspace.open('job')
        await workspace.append('job', 'stdout', 0, text('ab'))
        await expect(workspace.append('job', 'stdout', 3, text('x'))).rejects.toThrow()
        await expect(workspace.append('unknown', 'stdout', 0, text('x'))).rejects.toThrow()
        expect(await readFile(join(await workspace.toPublish('job'), 'stdout'), 'utf8')).toBe('ab')
        expect(await collect(workspace.leftovers())).toEqual(['job'])
      }),
  },
  {
    name: 'after seal the same bytes are still taken, new ones are an error, and nothing changes',
    run: (options) =>
      withWorkspace(options, async (workspace, { reopen }) => {
        await workspace.open('job')
        await workspace.append('job', 'stdout', 0, text('all'))
        await workspace.seal('job')
        await workspace.seal('job')
        await workspace.append('job', 'stdout', 0, text('all'))
        await expect(workspace.append('job', 'stdout', 3, text('!'))).rejects.toThrow()
        await expect(reopen().append('job', 'stdout', 3, text('!'))).rejects.toThrow()
        expect(await readFile(join(await workspace.toPublish('job'), 'stdout'), 'utf8')).toBe('all')
      }),
  },
  {
    name: 'a tail gives what is there, then what comes, and ends with the seal',
    run: (options) =>
      withWorkspace(options, async (workspace) => {
        await workspace.open('job')
        await workspace.append('job', 'stdout', 0, text('one '))
        const whole = follow(workspace, 'job', 'stdout', 0)
        const part = follow(workspace, 'job', 'stdout', 2)
        const other = follow(workspace, 'job', 'stderr', 0)
        expect([await whole.next(4), await part.next(2)]).toEqual(['one ', 'e '])
        const waiting = whole.next(4)
        await workspace.append('job', 'stdout', 4, text('two '))
        expect([await waiting, await part.next(4)]).toEqual(['two ', 'two '])
        await workspace.append('job', 'stdout', 8, text('three'))
        await workspace.seal('job')
        expect([await whole.rest(), await part.rest(), await other.rest()]).toEqual(['three', 'three', ''])
        expect(textOf(await collect(workspace.tail('job', 'stdout', 4, {})))).toBe('two three')
        expect(await collect(workspace.tail('job', 'stdout', 1000, {}))).toEqual([])
      }),
  },
  {
    name: 'a large stream is tailed whole in chunks',
    run: (options) =>
      withWorkspace(options, async (workspace) => {
        const bytes = patternBytes(3 * 1024 * 1024 + 5)
        await workspace.open('job')
        await workspace.append('job', 'stdout', 0, bytes)
        await workspace.seal('job')
        const chunks = await collect(workspace.tail('job', 'stdout', 0, {}))
        expect(Buffer.compare(Buffer.concat(chunks), bytes)).toBe(0)
        expect(Math.max(...chunks.map((chunk) => chunk.length))).toBeLessThanOrEqual(1024 * 1024)
      }),
  },
  {
    name: 'a tail ends with its signal, with remove, after a restart with an earlier seal, and at once for the unknown',
    run: (options) =>
      withWorkspace(options, async (workspace, { reopen }) => {
        const controller = new AbortController()
        await workspace.open('job')
        await workspace.append('job', 'stdout', 0, text('x'))
        const aborted = follow(workspace, 'job', 'stdout', 0, controller.signal)
        const removed = follow(workspace, 'job', 'stdout', 0)
        expect([await aborted.next(1), await removed.next(1)]).toEqual(['x', 'x'])
        const rest = [aborted.rest(), removed.rest()]
        controller.abort()
        expect(await rest[0]).toBe('')
        await workspace.remove('job')
        expect(await rest[1]).toBe('')
        await workspace.open('sealed')
        await workspace.append('sealed', 'stderr', 0, text('y'))
        await workspace.seal('sealed')
        expect(textOf(await collect(reopen().tail('sealed', 'stderr', 0, {})))).toBe('y')
        expect(await collect(workspace.tail('unknown', 'stdout', 0, {}))).toEqual([])
        expect(await collect(workspace.tail('sealed', 'stderr', 0, { signal: AbortSignal.abort() }))).toEqual([])
      }),
  },
  {
    name: 'entries are the files under outputs, sorted by the bytes of their whole path, with their size and content',
    run: (options) =>
      withWorkspace(options, async (workspace) => {
        const { outputs } = await workspace.open('job', ['made'])
        const paths = ['a/b', 'a-b', 'a.b', 'a0', 'a/b-c/d', 'a/b.c', 'B', 'b/\u{1f41f}', 'b/\uff5e', 'ü', 'z', 'empty/..x', '-', '0/0/0/0']
        await writeFiles(outputs, Object.fromEntries(paths.map((path) => [path, text(path)])))
        await mkdir(join(outputs, 'no files here'))
        const entries = await collect(workspace.entries('job'))
        expect(entries.map((entry) => entry.path)).toEqual(paths.toSorted((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right))))
        for (const entry of entries) {
          expect(textOf(await collect(entry.open()))).toBe(entry.path)
          expect(entry.size).toBe(Buffer.byteLength(entry.path))
        }
      }),
  },
  {
    name: 'an entry is read in chunks and again from its start',
    run: (options) =>
      withWorkspace(options, async (workspace) => {
        const { outputs } = await workspace.open('job', ['made'])
        const bytes = patternBytes(3 * 1024 * 1024 + 7)
        await writeFile(join(outputs, 'large'), bytes)
        const [entry] = await collect(workspace.entries('job'))
        for (let round = 0; round < 2; round += 1) {
          const chunks = await collect(entry?.open() ?? workspace.tail('job', 'stdout', 0, {}))
          expect(Buffer.compare(Buffer.concat(chunks), bytes)).toBe(0)
          expect(Math.max(...chunks.map((chunk) => chunk.length))).toBeLessThanOrEqual(1024 * 1024)
        }
        await expect(drain(entry?.open({ signal: AbortSignal.abort(new Error('given up')) }) ?? workspace.leftovers())).rejects.toThrow('given up')
      }),
  },
  {
    name: 'links among the outputs are output-unsafe, wherever they lead',
    run: (options) =>
      withWorkspace(options, async (workspace) => {
        const links: readonly [string, string][] = [
          ['to-host', '/etc/passwd'],
          ['to-directory', '/etc'],
          ['to-inside', 'plain'],
          ['to-nothing', 'nowhere'],
          ['up', '..'],
        ]
        for (const [index, [name, target]] of links.entries()) {
          const { outputs } = await workspace.open(`job-${index}`, ['made'])
          await writeFiles(outputs, { plain: text('x'), 'deep/plain': text('x') })
          await symlink(target, join(outputs, 'deep', name))
          expect(`${name}: ${await unsafeCode(workspace, `job-${index}`)}`).toBe(`${name}: output-unsafe`)
        }
      }),
  },
  {
    name: 'a file that is replaced by a link, or changed, after it was listed is output-unsafe',
    run: (options) =>
      withWorkspace(options, async (workspace) => {
        await using outside = await scratch()
        const secret = join(outside.path, 'secret')
        await writeFile(secret, 'secret')
        for (const replace of [
          async (file: string) => {
            await rename(file, `${file}.old`)
            await symlink(secret, file)
          },
          async (file: string) => {
            await rename(file, `${file}.old`)
            await link(secret, file)
          },
          (file: string) => writeFile(file, 'longer than before'),
        ]) {
          const { outputs } = await workspace.open('job', ['made'])
          await writeFile(join(outputs, 'file'), 'public')
          const [entry] = await collect(workspace.entries('job'))
          await replace(join(outputs, 'file'))
          const error: unknown = await drain(entry?.open() ?? workspace.leftovers()).catch((thrown: unknown) => thrown)
          expect(failureOf(error)?.code).toBe('output-unsafe')
          await workspace.remove('job')
        }
      }),
  },
  {
    name: 'entries of what is not open are an error, and honour their signal',
    run: (options) =>
      withWorkspace(options, async (workspace) => {
        await expect(collect(workspace.entries('unknown'))).rejects.toThrow()
        await workspace.open('job')
        await expect(collect(workspace.entries('job', { signal: AbortSignal.abort(new Error('given up')) }))).rejects.toThrow('given up')
        expect(await collect(workspace.entries('job'))).toEqual([])
      }),
  },
  {
    name: 'remove deletes everything, directories that may not be written included, and can be repeated',
    run: (options) =>
      withWorkspace(options, async (workspace) => {
        const { inputs, outputs } = await workspace.open('job', ['made'])
        const publish = await workspace.toPublish('job')
        await writeFiles(outputs, { 'a/b/c': text('x') })
        await writeFile(await workspace.place('job', 'inputs', 'd/e'), 'x')
        await symlink('/etc', join(outputs, 'link'))
        for (const directory of ['a/b', 'a']) await chmod(join(outputs, directory), 0o500)
        await chmod(join(inputs, 'd'), 0)
        await workspace.remove('job')
        await workspace.remove('job')
        await workspace.remove('unknown')
        await expect(stat(publish)).rejects.toThrow()
        expect((await stat('/etc')).isDirectory()).toBe(true)
        expect(await collect(workspace.leftovers())).toEqual([])
        await workspace.seal('job')
        expect(await collect(workspace.leftovers())).toEqual([])
        await workspace.open('job')
        expect(await collect(workspace.entries('job'))).toEqual([])
      }),
  },
  {
    name: 'ids of odd characters are kept apart, stay inside, and come back as leftovers',
    run: (options) =>
      withWorkspace(options, async (workspace, { reopen }) => {
        const ids = ['a', 'A', '../a', '..', '.', 'a/b', 'a%2fb', '/etc', 'a\nb', 'ü', 'u\u0308', '__proto__', 'constructor', 'con', '-rf', 'a b']
        const opened = new Set<string>()
        for (const id of ids) {
          opened.add((await workspace.open(id)).outputs.toLowerCase())
          await workspace.append(id, 'stdout', 0, text(id))
        }
        expect(opened.size).toBe(ids.length)
        expect((await collect(reopen().leftovers())).sort()).toEqual([...ids].sort())
        for (const id of ids) {
          await workspace.seal(id)
          expect(textOf(await collect(workspace.tail(id, 'stdout', 0, {})))).toBe(id)
          await workspace.remove(id)
        }
        expect(await collect(reopen().leftovers())).toEqual([])
        await expect(workspace.open('')).rejects.toThrow()
        await expect(workspace.open('\ud800')).rejects.toThrow()
      }),
  },
]

/** The cases of {@link workspaceConformance}, to run one by one. */
export const workspaceCases: readonly WorkspaceCase[] = cases.map(({ name, run }) => ({
  name,
  run: (options) => inTime(name, options.deadline ?? defaultDeadline, run(options)),
}))

/** What every {@link Workspace} promises, as a vitest suite. */
export const workspaceConformance = (options: WorkspaceConformance): void => {
  describe(`workspace conformance: ${options.name}`, () => {
    for (const { name, run } of workspaceCases) test(name, () => run(options), (options.deadline ?? defaultDeadline) + 5000)
  })
}
