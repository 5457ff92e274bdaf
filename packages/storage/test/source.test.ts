import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type SourceHarness, sourceConformance } from '../src/conformance.ts'
import { localSource } from '../src/local.ts'

const roots = new WeakMap<SourceHarness, string>()
const rootOf = (harness: SourceHarness) => roots.get(harness) ?? ''

const neighbour = async (harness: SourceHarness) => {
  const path = join(rootOf(harness), 'allowed-not')
  await writeFile(path, 'secret')
  return { type: 'local', path } as const
}
const pathOf = (spec: { type: string; path?: string }) => spec.path ?? ''
const linked = async (harness: SourceHarness, target: string, then: string) => {
  await symlink(target, join(rootOf(harness), 'allowed', 'link'))
  return { type: 'local', path: `link${then}` } as const
}

sourceConformance({
  name: 'local',
  create: async () => {
    const directory = await mkdtemp(join(tmpdir(), 'skrei-source-'))
    const allowed = join(directory, 'allowed')
    await mkdir(allowed)
    await writeFile(join(directory, 'secret'), 'secret')
    let count = 0
    const put = async (path: string, bytes: Uint8Array) => {
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, bytes)
    }
    const harness: SourceHarness = {
      source: localSource({ allow: [allowed], base: allowed }),
      putFile: async (bytes) => {
        count += 1
        await put(join(allowed, `file-${count}.bin`), bytes)
        return { type: 'local', path: `file-${count}.bin` }
      },
      putFiles: async (files) => {
        count += 1
        for (const [path, bytes] of Object.entries(files)) await put(join(allowed, `directory-${count}`, path), bytes)
        return { type: 'local', path: join(allowed, `directory-${count}`) }
      },
      [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
    }
    roots.set(harness, directory)
    return harness
  },
  failing: [
    { name: 'a missing file', code: 'source-not-found', source: () => ({ type: 'local', path: 'missing' }) },
    { name: 'beneath a missing directory', code: 'source-not-found', source: () => ({ type: 'local', path: 'missing/a/b' }) },
    {
      name: 'beneath a file',
      code: 'source-not-found',
      source: async (harness) => ({ type: 'local', path: `${pathOf(await harness.putFile(Buffer.from('x')))}/a` }),
    },
    { name: 'outside', code: 'source-forbidden', source: (harness) => ({ type: 'local', path: join(rootOf(harness), 'secret') }) },
    { name: 'outside and missing', code: 'source-forbidden', source: (harness) => ({ type: 'local', path: join(rootOf(harness), 'missing') }) },
    { name: 'up', code: 'source-forbidden', source: () => ({ type: 'local', path: '../secret' }) },
    { name: 'up beyond a missing directory', code: 'source-forbidden', source: () => ({ type: 'local', path: 'missing/../../secret' }) },
    { name: 'a neighbour whose name begins alike', code: 'source-forbidden', source: neighbour },
    { name: 'a link that leads outside', code: 'source-forbidden', source: (harness) => linked(harness, '../secret', '') },
    { name: 'beneath a link that leads outside', code: 'source-forbidden', source: (harness) => linked(harness, '..', '/secret') },
    { name: 'missing beneath a link that leads outside', code: 'source-forbidden', source: (harness) => linked(harness, '..', '/missing') },
    { name: 'a circle of links', code: 'source-forbidden', source: (harness) => linked(harness, 'link', '') },
    { name: 'a NUL', code: 'source-invalid', source: () => ({ type: 'local', path: 'a\0b' }) },
    { name: 'a device', code: 'source-forbidden', source: () => ({ type: 'local', path: '/dev/zero' }) },
    { name: 'a path that is too long', code: 'source-invalid', source: () => ({ type: 'local', path: 'x'.repeat(4096) }) },
  ],
})
