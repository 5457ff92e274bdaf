import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, chmod, link, lstat, mkdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type FileEntry, failureOf } from '@skrei/job-spec'
import { expect, test } from 'vitest'
import { openSame } from '../src/local/read-file.ts'
import { removeTree } from '../src/local/remove-tree.ts'
import { localPublisher, localSource, localWorkspace } from '../src/local.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const execute = promisify(execFile)
const noLimit = { maxBytes: Number.MAX_SAFE_INTEGER }

const codeOf = async (work: AsyncIterable<unknown>) => {
  try {
    for await (const _item of work);
    return 'ok'
  } catch (error) {
    return failureOf(error)?.code ?? String(error)
  }
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )

/** Directories of long names in each other: their path is longer than the system takes. */
const tooDeep = async (directory: string) => {
  await mkdir(directory, { recursive: true })
  const script = `n=${'d'.repeat(240)}; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do mkdir $n && cd -P $n || exit 1; done; echo x > file`
  await execute('sh', ['-c', script], { cwd: directory })
}

test('a pipe, and a link, in a listed directory are refused, not skipped and not waited for', async () => {
  await using directory = await temporaryDirectory()
  const source = localSource({ allow: [directory.path] })
  await mkdir(join(directory.path, 'pipes'))
  await mkdir(join(directory.path, 'links/deep'), { recursive: true })
  await execute('mkfifo', [join(directory.path, 'pipes/pipe')])
  await writeFile(join(directory.path, 'links/plain'), 'x')
  await symlink('../plain', join(directory.path, 'links/deep/link'))
  for (const path of ['pipes', 'pipes/pipe', 'links']) {
    const spec = { type: 'local', path: join(directory.path, path) } as const
    expect(`${path}: ${await codeOf(source.list(spec))}`).toBe(`${path}: source-invalid`)
    expect((await source.assess(spec)).refusals).toEqual([])
  }
  const pipe: FileEntry = { path: 'x', source: { type: 'local', path: join(directory.path, 'pipes/pipe') } }
  expect(await codeOf(source.stage(pipe, join(directory.path, 'into'), noLimit))).toBe('source-invalid')
  expect(await codeOf(source.stage({ path: 'x', source: { type: 'local', path: join(directory.path, 'links') } }, join(directory.path, 'into'), noLimit))).toBe(
    'source-invalid',
  )
})

test('a path that is a link to a file inside an allowed directory is that file', async () => {
  await using directory = await temporaryDirectory()
  await writeFile(join(directory.path, 'plain'), 'x')
  await symlink('plain', join(directory.path, 'link'))
  const entries = []
  for await (const entry of localSource({ allow: [directory.path] }).list({ type: 'local', path: join(directory.path, 'link') })) entries.push(entry)
  expect(entries).toEqual([{ path: 'plain', source: { type: 'local', path: join(directory.path, 'plain') }, size: 1, alone: true }])
})

test('an allowed directory may itself be reached by a link; one that does not exist allows nothing', async () => {
  await using directory = await temporaryDirectory()
  await mkdir(join(directory.path, 'real'))
  await writeFile(join(directory.path, 'real/file'), 'x')
  await symlink('real', join(directory.path, 'alias'))
  const spec = { type: 'local', path: join(directory.path, 'real/file') } as const
  expect(await codeOf(localSource({ allow: [join(directory.path, 'alias')] }).list(spec))).toBe('ok')
  expect(await codeOf(localSource({ allow: [join(directory.path, 'missing')] }).list(spec))).toBe('source-forbidden')
  expect(await codeOf(localSource({ allow: [] }).list(spec))).toBe('source-forbidden')
  expect(await codeOf(localSource({ allow: ['/'] }).list(spec))).toBe('ok')
  expect(await codeOf(localSource({ allow: ['/'] }).list({ type: 'local', path: 'file' }))).toBe('source-invalid')
  expect(() => localSource({ allow: ['relative'] })).toThrow(TypeError)
})

test('sha256 beside a directory is refused, since it pins one file', async () => {
  await using directory = await temporaryDirectory()
  const source = localSource({ allow: [directory.path] })
  expect(await codeOf(source.list({ type: 'local', path: directory.path, sha256: '0'.repeat(64) }))).toBe('source-invalid')
})

test('a file that was swapped between the look and the open is not opened, and a pipe in its place is not waited for', async () => {
  const swaps: readonly [string, (root: string) => Promise<unknown>][] = [
    ['a link', (root) => symlink('../outside/file', join(root, 'inside/file'))],
    ['a hard link', (root) => link(join(root, 'outside/file'), join(root, 'inside/file'))],
    ['a pipe', (root) => execute('mkfifo', [join(root, 'inside/file')])],
    ['nothing', async () => {}],
    [
      'a linked directory',
      async (root) => {
        await rename(join(root, 'inside'), join(root, 'inside-moved'))
        await symlink('outside', join(root, 'inside'))
      },
    ],
  ]
  for (const [name, swap] of swaps) {
    await using directory = await temporaryDirectory()
    for (const place of ['inside', 'outside']) {
      await mkdir(join(directory.path, place))
      await writeFile(join(directory.path, place, 'file'), place)
    }
    const path = join(directory.path, 'inside/file')
    const seen = await lstat(path)
    await rename(path, `${path}-moved`)
    await swap(directory.path)
    expect(`${name}: ${await openSame(path, seen)}`).toBe(`${name}: undefined`)
  }
})

test('while a file and its directory are swapped for links to the outside, staging never yields what is outside', async () => {
  await using directory = await temporaryDirectory()
  const allowed = join(directory.path, 'allowed')
  const outside = join(directory.path, 'outside')
  for (const [root, content] of [
    [allowed, 'public'],
    [outside, 'secret'],
  ] as const) {
    await mkdir(join(root, 'a'), { recursive: true })
    await writeFile(join(root, 'a/file'), content)
  }
  const script = `
    const fs = require('node:fs')
    const [allowed, outside] = process.argv.slice(1)
    fs.symlinkSync(outside + '/a', allowed + '/directory-link')
    fs.symlinkSync(outside + '/a/file', allowed + '/file-link')
    const swap = (one, two) => { fs.renameSync(one, one + '.swap'); fs.renameSync(two, one); fs.renameSync(one, two); fs.renameSync(one + '.swap', one) }
    process.stdout.write('ready')
    const rest = new Int32Array(new SharedArrayBuffer(4))
    // Now and then everything is in its place for a moment, so that some stagings succeed.
    for (let round = 0; ; round++) {
      swap(allowed + '/a', allowed + '/directory-link')
      swap(allowed + '/a/file', allowed + '/file-link')
      if (round % 100 === 0) Atomics.wait(rest, 0, 0, 2)
    }
  `
  const swapper = spawn(process.execPath, ['-e', script, allowed, outside], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    await once(swapper.stdout, 'data')
    const source = localSource({ allow: [allowed] })
    let staged = 0
    for (let round = 0; round < 400; round += 1) {
      const into = join(directory.path, `into-${round}`)
      const code = await codeOf(source.stage({ path: 'x', source: { type: 'local', path: join(allowed, 'a/file') } }, into, noLimit))
      if (code === 'ok') {
        staged += 1
        expect(await readFile(into, 'utf8')).toBe('public')
      } else {
        expect(['source-forbidden', 'source-not-found', 'source-invalid']).toContain(code)
        expect(await exists(into)).toBe(false)
      }
    }
    expect(staged).toBeGreaterThan(0)
  } finally {
    swapper.kill('SIGKILL')
    await once(swapper, 'close')
  }
})

test('outputs with a pipe, a name that is not UTF-8, or a path too deep are output-unsafe', async () => {
  await using directory = await temporaryDirectory()
  const workspace = localWorkspace({ directory: join(directory.path, 'executions') })
  const pipe = await workspace.open('pipe', ['made'])
  await execute('mkfifo', [join(pipe.outputs, 'pipe')])
  const name = await workspace.open('name', ['made'])
  await writeFile(Buffer.concat([Buffer.from(`${name.outputs}/`), Buffer.from([0x61, 0xff])]), 'x')
  const deep = await workspace.open('deep', ['made'])
  await tooDeep(deep.outputs)
  for (const id of ['pipe', 'name', 'deep']) expect(`${id}: ${await codeOf(workspace.entries(id))}`).toBe(`${id}: output-unsafe`)
  for (const id of ['pipe', 'name', 'deep']) await workspace.remove(id)
  expect(await exists(join(directory.path, 'executions', 'deep'))).toBe(false)
})

test('hard links within the outputs are plain files', async () => {
  await using directory = await temporaryDirectory()
  const workspace = localWorkspace({ directory: directory.path })
  const { outputs } = await workspace.open('job', ['made'])
  await writeFile(join(outputs, 'one'), 'x')
  await link(join(outputs, 'one'), join(outputs, 'two'))
  expect(await codeOf(workspace.entries('job'))).toBe('ok')
})

test('only the owner may enter the workspace and its executions', async () => {
  await using directory = await temporaryDirectory()
  const root = join(directory.path, 'executions')
  const workspace = localWorkspace({ directory: root })
  await workspace.open('opened', ['made'])
  await workspace.place('placed', 'inputs', 'a/b')
  await workspace.receive('received')
  for (const path of ['', 'opened', 'placed', 'received']) expect((await stat(join(root, path))).mode & 0o777).toBe(0o700)
  expect(() => localWorkspace({ directory: 'relative' })).toThrow(TypeError)
})

test('trees deeper than a path can name are removed, by a user without special rights too', async () => {
  await using directory = await temporaryDirectory()
  const root = join(directory.path, 'tree')
  await tooDeep(join(root, 'locked'))
  await mkdir(join(root, '.moved-mine'))
  await writeFile(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff])]), 'x')
  await symlink('/etc', join(root, 'link'))
  await chmod(join(root, 'locked', 'd'.repeat(240), 'd'.repeat(240)), 0)
  await chmod(join(root, 'locked'), 0o500)
  if (process.getuid?.() === 0) {
    // As root nothing is locked: let another user's process do it, who owns the tree.
    await execute('chown', ['-hR', '65534:65534', directory.path])
    await chmod(directory.path, 0o777)
    const script = `import { removeTree } from ${JSON.stringify(new URL('../src/local/remove-tree.ts', import.meta.url).href)}; await removeTree(${JSON.stringify(root)})`
    await execute(process.execPath, ['--input-type=module', '-e', script], { uid: 65534, gid: 65534, cwd: '/', env: {} })
  } else {
    await removeTree(root)
  }
  expect(await exists(root)).toBe(false)
  await removeTree(root)
})

test('what was left half written or half removed is neither a leftover nor in the way', async () => {
  await using directory = await temporaryDirectory()
  const publisher = localPublisher({ directory: directory.path })
  await mkdir(join(directory.path, '.partial-job'))
  await writeFile(join(directory.path, '.partial-job/old'), 'x')
  await mkdir(join(directory.path, 'from'))
  await writeFile(join(directory.path, 'from/new'), 'y')
  await publisher.publish('job', join(directory.path, 'from'), {})
  expect(await exists(join(directory.path, 'job/old'))).toBe(false)
  expect(await readFile(join(directory.path, 'job/new'), 'utf8')).toBe('y')
  expect(await exists(join(directory.path, '.partial-job'))).toBe(false)
  const fetched = publisher.fetch({ type: 'local', path: join(directory.path, '.partial-job') }, directory.path, {})
  expect(await codeOf(fetched)).toMatch(/reference-invalid/)
  const ids = []
  for await (const id of localWorkspace({ directory: directory.path }).leftovers()) ids.push(id)
  expect(ids).not.toContain('.partial-job')
})

test('compose moves no data: what it makes are hard links, and what is published is read-only', async () => {
  await using directory = await temporaryDirectory()
  const publisher = localPublisher({ directory: join(directory.path, 'published') })
  await mkdir(join(directory.path, 'from'))
  await writeFile(join(directory.path, 'from/file'), 'x', { mode: 0o4777 })
  const part = await publisher.publish('part', join(directory.path, 'from'), {})
  const entries = async function* () {
    yield { path: 'parts/0', content: part }
    yield { path: 'parts/1', content: part }
  }
  const whole = await publisher.compose('whole', entries(), {})
  const [one, two] = await Promise.all([stat(join(part.path ?? '', 'file')), stat(join(whole.path ?? '', 'parts/1/file'))])
  expect(two.ino).toBe(one.ino)
  expect(two.nlink).toBe(3)
  expect(one.mode & 0o7777).toBe(0o444)
})

test('a publish that fails leaves nothing to be seen', async () => {
  await using directory = await temporaryDirectory()
  const published = join(directory.path, 'published')
  const publisher = localPublisher({ directory: published })
  await mkdir(join(directory.path, 'from'))
  await writeFile(join(directory.path, 'from/a'), 'x')
  await symlink('a', join(directory.path, 'from/b'))
  await expect(publisher.publish('job', join(directory.path, 'from'), {})).rejects.toThrow('symbolic link')
  expect(await exists(join(published, 'job'))).toBe(false)
  expect(await exists(join(published, '.partial-job'))).toBe(false)
})

test('a file that has another size than when it was planned is source-mismatch', async () => {
  await using directory = await temporaryDirectory()
  const source = localSource({ allow: [directory.path] })
  const file = join(directory.path, 'file')
  await writeFile(file, 'planned')
  let planned: FileEntry | undefined
  for await (const entry of source.list({ type: 'local', path: file })) planned = entry
  await writeFile(`${file}.new`, 'longer than planned')
  await rename(`${file}.new`, file)
  if (planned === undefined) throw new Error('nothing listed')
  expect(await codeOf(source.stage(planned, join(directory.path, 'into'), noLimit))).toBe('source-mismatch')
})

test('reading a path of a publication looks at nothing but the way there, and follows no link', async () => {
  await using directory = await temporaryDirectory()
  const publisher = localPublisher({ directory: join(directory.path, 'published') })
  await mkdir(join(directory.path, 'from/a/b'), { recursive: true })
  await writeFile(join(directory.path, 'from/a/b/file'), 'x')
  const reference = await publisher.publish('job', join(directory.path, 'from'), {})
  const root = reference.path ?? ''
  // Somebody with access to the folder put a link there: only who comes by it is refused.
  await symlink('/etc', join(root, 'a/link'))
  const read = async (path?: string) => {
    const found = []
    for await (const file of publisher.read(reference, { ...(path !== undefined && { path }) })) found.push(file.path)
    return found
  }
  expect(await read('a/b/file')).toEqual(['a/b/file'])
  expect(await read('a/b')).toEqual(['a/b/file'])
  await expect(read('a/link/hostname')).rejects.toThrow('neither a file nor a directory')
  await expect(read('a')).rejects.toThrow('symbolic link')
  await expect(read()).rejects.toThrow('symbolic link')
})

test('a published file that is replaced after it was found is not read', async () => {
  await using directory = await temporaryDirectory()
  const publisher = localPublisher({ directory: join(directory.path, 'published') })
  await mkdir(join(directory.path, 'from'))
  await writeFile(join(directory.path, 'from/file'), 'x')
  const reference = await publisher.publish('job', join(directory.path, 'from'), {})
  for await (const file of publisher.read(reference, {})) {
    await publisher.unpublish('job')
    expect(await codeOf(file.content())).toMatch('withdrawn or replaced')
  }
  expect.assertions(1)
})
