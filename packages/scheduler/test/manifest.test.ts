import { cidOf, type FileEntry, type InputSpec, type ResolvedJob, resolve } from '@skrei/job-spec'
import { memoryStateStore } from '@skrei/state-store/memory'
import type { Source } from '@skrei/storage'
import { describe, expect, test } from 'vitest'
import { plan } from '../src/requester/manifest.ts'
import { readManifest } from '../src/requester/manifest-rows.ts'
import { noopJob } from './noop-job.ts'

/** Files by the URL that names their listing. */
const listings: Readonly<Record<string, readonly string[]>> = { tree: ['b.csv', 'a.csv', 'deep/c.csv', 'deep/er/d.csv', 'note.txt'], model: ['model.bin'] }

const source: Source = {
  type: 'local',
  list: async function* (spec) {
    const name = spec.type === 'local' ? spec.path : ''
    if (name.startsWith('file ')) yield { path: name.slice(5), source: spec, alone: true } satisfies FileEntry
    for (const path of listings[name] ?? []) yield { path, source: spec, size: 1 } satisfies FileEntry
  },
  assess: () => Promise.resolve({ held: true, refusals: [] }),
  stage: async function* () {},
}

const input = (path: string, listing: string): InputSpec => ({ path, source: { type: 'local', path: listing } })
const planned = async (change: Partial<ResolvedJob>): Promise<{ total: number; manifest: string; shards: readonly (readonly string[])[] }> => {
  using store = memoryStateStore()
  const job: ResolvedJob = { ...resolve(noopJob()), ...change }
  const { total, manifest } = await plan(
    'job',
    job,
    new Map([['local', source]]),
    (rows) => {
      store.transact((transaction) => rows.forEach((row) => transaction.put(row)))
      return Promise.resolve()
    },
    { signal: new AbortController().signal },
  )
  const shards = Array.from({ length: total }, (_, index) => {
    const shard = store.read((reader) => readManifest(reader, 'job', index))
    expect(shard?.cid).toBe(cidOf(shard?.files))
    return shard?.files?.map(({ path }) => path) ?? []
  })
  return { total, manifest, shards }
}

describe('planning', () => {
  test('a job without sharding has one shard with every file', async () => {
    const { shards } = await planned({ inputs: [input('/in', 'tree'), input('/model', 'model')] })
    expect(shards).toEqual([['in/b.csv', 'in/a.csv', 'in/deep/c.csv', 'in/deep/er/d.csv', 'in/note.txt', 'model/model.bin']])
  })

  test('a job without inputs has one shard with none', async () => {
    expect((await planned({ inputs: [] })).shards).toEqual([[]])
  })

  test('a glob splits one input, in the order of its listing; the other inputs go whole to every shard', async () => {
    const { shards } = await planned({ inputs: [input('/in', 'tree'), input('/model', 'model')], sharding: { input: '/in', glob: '**/*.csv', batchSize: 2 } })
    expect(shards).toEqual([
      ['model/model.bin', 'in/b.csv', 'in/a.csv'],
      ['model/model.bin', 'in/deep/c.csv', 'in/deep/er/d.csv'],
    ])
  })

  test('a base path narrows the glob to what lies under it', async () => {
    expect((await planned({ inputs: [input('/in', 'tree')], sharding: { glob: '*.csv', basePath: '/deep/' } })).shards).toEqual([['in/deep/c.csv']])
  })

  test('a count gives every shard the whole input', async () => {
    const { shards } = await planned({ inputs: [input('/model', 'model')], sharding: { count: 3 } })
    expect(shards).toEqual([['model/model.bin'], ['model/model.bin'], ['model/model.bin']])
  })

  test('the same input gives the same manifest, another one another', async () => {
    const of = async (glob: string): Promise<string> => (await planned({ inputs: [input('/in', 'tree')], sharding: { glob } })).manifest
    expect(await of('*.csv')).toMatch(/^[0-9a-f]{64}$/)
    expect(await of('*.csv')).toBe(await of('*.csv'))
    expect(await of('*.csv')).not.toBe(await of('*.txt'))
  })

  test.each([
    ['/in/data.csv', 'file a.csv', 'in/data.csv'],
    ['/in', 'file a.csv', 'in/a.csv'],
    ['/in/.hidden', 'file a.csv', 'in/.hidden/a.csv'],
    ['/v1.2', 'model', 'v1.2/model.bin'],
  ])('a file that is a source by itself lies at %s as %s -> %s', async (path, listing, expected) => {
    expect((await planned({ inputs: [input(path, listing)] })).shards).toEqual([[expected]])
  })

  test.each([
    ['a glob that matches nothing', { inputs: [input('/in', 'tree')], sharding: { glob: '*.parquet' } }, 'no-input'],
    ['two files at one place', { inputs: [input('/in', 'tree'), input('/in', 'tree')] }, 'source-invalid'],
    ['a file in the root of the sandbox', { inputs: [input('/data.csv', 'file a.csv')] }, 'task-invalid'],
    ['a source without a driver', { inputs: [{ path: '/in', source: { type: 'ipfs', cid: 'b' } }] } as Partial<ResolvedJob>, 'source-invalid'],
  ] as const)('refuses %s', async (_what, change, code) => {
    await expect(planned(change as Partial<ResolvedJob>)).rejects.toMatchObject({ failure: { code } })
  })
})
