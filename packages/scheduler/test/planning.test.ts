import { cidOf, type FileEntry, type InputSpec, type ResolvedJob, resolve } from '@skrei/job-spec'
import { merkleRoot } from '@skrei/protocol'
import { memoryStateStore } from '@skrei/state-store/memory'
import type { Source } from '@skrei/storage'
import { virtualClock } from '@skrei/transport/memory'
import { expect, test } from 'vitest'
import type { JobContext } from '../src/machines/job.ts'
import { type ListNode, listsPerNode, walkList } from '../src/requester/file-list.ts'
import { locateInputs } from '../src/requester/holders.ts'
import { plan } from '../src/requester/manifest.ts'
import { readList, readManifest } from '../src/requester/manifest-rows.ts'
import { createSimulation } from '../src/simulation/index.ts'
import { noopJob } from './noop-job.ts'

const never = new AbortController().signal
const inputs: readonly InputSpec[] = [{ path: '/in', source: { type: 'inline', text: '5000' } }]

/** A source of so many files; `version` is in each of them. */
const listing = (count: () => number, version: () => string): Source => ({
  type: 'inline',
  list: async function* (source) {
    const [files, mark] = [count(), version()]
    for (let index = 0; index < files; index++) yield { path: `${mark}-${index}.csv`, source, size: 1 } satisfies FileEntry
  },
  assess: () => Promise.resolve({ held: true, refusals: [] }),
  stage: async function* () {},
})

const jobOf = (change: Partial<ResolvedJob>): ResolvedJob => ({ ...resolve(noopJob()), inputs: [...inputs], ...change })

/** All files of a shard, as a node would get them: part by part, checked. */
const filesOf = async (store: ReturnType<typeof memoryStateStore>, job: string, index: number): Promise<{ paths: string[]; parts: number[] }> => {
  const shard = store.read((reader) => readManifest(reader, job, index))
  if (shard === undefined) throw new Error(`no shard ${index}`)
  const fetch = (cid: string): Promise<ListNode> => {
    const node = store.read((reader) => readList(reader, job, shard, cid))
    return node === undefined ? Promise.reject(new Error(`no list ${cid}`)) : Promise.resolve(node)
  }
  const files: FileEntry[] = []
  const parts: number[] = []
  for await (const part of walkList(shard.cid, fetch)) {
    files.push(...part)
    parts.push(part.length)
  }
  return { paths: files.map(({ path }) => path), parts }
}

test.each([1, 7, 32, 33, 1000, 2500, 5000])('shards of %i files name each file once, in order, in parts of bounded size', async (batchSize) => {
  using store = memoryStateStore()
  let mostRows = 0
  const { total } = await plan(
    'job',
    jobOf({ sharding: { glob: '**', batchSize } }),
    new Map([
      [
        'inline',
        listing(
          () => 5000,
          () => 'v',
        ),
      ],
    ]),
    (rows) => {
      mostRows = Math.max(mostRows, rows.length)
      store.transact((transaction) => rows.forEach((row) => transaction.put(row)))
      return Promise.resolve()
    },
    { signal: never },
  )
  expect(total).toBe(Math.ceil(5000 / batchSize))
  const all: string[] = []
  for (let index = 0; index < total; index++) {
    const { paths, parts } = await filesOf(store, 'job', index)
    expect(Math.max(...parts)).toBeLessThanOrEqual(1000)
    all.push(...paths)
  }
  expect(all).toEqual(Array.from({ length: 5000 }, (_, index) => `in/v-${index}.csv`))
  expect(mostRows).toBeLessThan(300)
})

test.each([1, 100, 3000])('a whole input of %i files goes to every shard, without being copied for each', async (whole) => {
  using store = memoryStateStore()
  let rows = 0
  const model: Source = {
    ...listing(
      () => whole,
      () => 'm',
    ),
    type: 'local',
  }
  const split = listing(
    () => 200,
    () => 'v',
  )
  const { total } = await plan(
    'job',
    jobOf({
      inputs: [...inputs, { path: '/model', source: { type: 'local', path: 'x' } }],
      sharding: { input: '/in', glob: '**', batchSize: 1 },
    }),
    new Map([
      ['inline', split],
      ['local', model],
    ]),
    (written) => {
      rows += written.length
      store.transact((transaction) => written.forEach((row) => transaction.put(row)))
      return Promise.resolve()
    },
    { signal: never },
  )
  expect(total).toBe(200)
  expect(rows).toBeLessThan(20)
  const { paths } = await filesOf(store, 'job', 199)
  expect(paths).toHaveLength(whole + 1)
  expect(paths[0]).toBe('model/m-0.csv')
  expect(paths.at(-1)).toBe('in/v-199.csv')
})

test('a list that is not what its CID names, or never ends, is refused', async () => {
  const files = [{ path: 'in/a', source: { type: 'inline', text: '' } }] satisfies ListNode
  const read = async (cid: string, nodes: Readonly<Record<string, ListNode>>): Promise<number> => {
    let parts = 0
    for await (const _ of walkList(cid, (one) => Promise.resolve(nodes[one] ?? []))) parts++
    return parts
  }
  const leaf = cidOf(files)
  const twice = { lists: [leaf, leaf] }
  expect(await read(cidOf(twice), { [cidOf(twice)]: twice, [leaf]: files })).toBe(2)
  await expect(read(leaf, { [leaf]: [] })).rejects.toThrow('not those of the manifest')
  // Each level names the one below many times over.
  const wide = { lists: Array<string>(listsPerNode).fill(leaf) }
  const wider = { lists: Array<string>(listsPerNode).fill(cidOf(wide)) }
  await expect(read(cidOf(wider), { [cidOf(wider)]: wider, [cidOf(wide)]: wide, [leaf]: files })).rejects.toThrow('lists')
})

test('a plan that a crash broke off is made anew: the manifest is one listing, never a mix of two', async () => {
  const reference = async (count: number): Promise<string> =>
    (
      await plan(
        'x',
        jobOf({ sharding: { glob: '**', batchSize: 1 } }),
        new Map([
          [
            'inline',
            listing(
              () => count,
              () => 'second',
            ),
          ],
        ]),
        () => Promise.resolve(),
        {
          signal: never,
        },
      )
    ).manifest
  for (const [after, count] of [
    [0, 5000],
    [1, 5000],
    [2, 3000],
    [3, 4999],
  ] as const) {
    const world = await createSimulation({ nodes: 1, settings: { window: 1 } })
    const node = world.node(0)
    let version = 'first'
    let files = 9000
    let parts = 0
    world.interference.list = () => ({ count: files, version })
    const job = node.scheduler.submit(noopJob({ inputs: [...inputs], sharding: { glob: '**', batchSize: 1 } }))
    const crashed = Promise.withResolvers<void>()
    world.onEvent = (_, event) => {
      if (event.type !== 'transition' || event.transition.kind !== 'job' || parts++ !== after) return
      node.crash()
      crashed.resolve()
    }
    const jobId = await job
    await Promise.all([crashed.promise, world.clock.advance(0)])
    world.onEvent = () => {}
    version = 'second'
    files = count
    await node.restart()
    for (let step = 0; step < 100 && node.scheduler.job(jobId)?.state === 'planning'; step++) await world.clock.advance(10)
    const total = count
    expect(node.scheduler.job(jobId)).toMatchObject({ state: 'running', shards: { total } })
    const context = node.store.read((reader) => reader.get('job', jobId))?.data as unknown as JobContext
    expect(context.manifest).toBe(await reference(count))
    const paths: string[] = []
    for (let index = 0; index < total; index++) paths.push(...(await filesOf(node.store, jobId, index)).paths)
    expect(paths).toEqual(Array.from({ length: count }, (_, index) => `in/second-${index}.csv`))
    await world.stop()
  }
})

test('nodes that hold the data are noted: bounded, each once, and a source that hangs or fails costs a few seconds at most', async () => {
  const clock = virtualClock({ start: 0 })
  const locating = (ids: readonly string[], then?: 'hang' | 'throw'): Source => ({
    ...listing(
      () => 1,
      () => 'v',
    ),
    locate: async function* () {
      yield* ids
      if (then === 'throw') throw new Error('no')
      if (then === 'hang') await new Promise(() => {})
    },
  })
  const of = async (source: Source): Promise<readonly string[]> => {
    const located = locateInputs(inputs, new Map([['inline', source]]), clock, { signal: never })
    await clock.advance(10_000)
    return located
  }
  expect(await of(locating(['a', 'b', 'a', '', 'x'.repeat(1000)]))).toEqual(['a', 'b'])
  expect(await of(locating(['a'], 'throw'))).toEqual(['a'])
  expect(await of(locating(['a'], 'hang'))).toEqual(['a'])
  expect(await of(locating(Array.from({ length: 1000 }, (_, index) => `n${index}`)))).toHaveLength(64)
  const aborted = new AbortController()
  aborted.abort()
  await expect(locateInputs(inputs, new Map([['inline', locating(['a'], 'hang')]]), clock, { signal: aborted.signal })).rejects.toThrow()
})

test('what a source says about who holds the data is kept with the job', async () => {
  const world = await createSimulation({ nodes: 1 })
  const node = world.node(0)
  world.interference.holders = ['node-0000', 'node-0009']
  const jobId = await node.scheduler.submit(noopJob({ inputs: [...inputs], sharding: { glob: '**', batchSize: 5000 } }))
  await world.clock.advance(10)
  expect(node.store.read((reader) => reader.get('job', jobId))?.data).toMatchObject({ holders: ['node-0000', 'node-0009'] })
  // 5,000 files in one shard: staged part by part, over the network's own query.
  expect(await world.finish(node, jobId)).toBe('completed')
  await world.stop()
})

test('any number of equal shards is planned at once, under the root of a list of them', async () => {
  using store = memoryStateStore()
  const three = listing(
    () => 3,
    () => 'v',
  )
  const planned = (count: number) =>
    plan(
      'job',
      jobOf({ sharding: { count } }),
      new Map([['inline', three]]),
      async (rows) => store.transact((transaction) => rows.forEach((row) => transaction.put(row))),
      { signal: never },
    )
  const { manifest } = await planned(1000)
  const cid = store.read((reader) => readManifest(reader, 'job', 999))?.cid ?? ''
  const leaves = Array.from({ length: 1000 }, () => Buffer.from(cid, 'latin1'))
  expect(manifest).toBe(Buffer.from(merkleRoot(leaves)).toString('hex'))
  // To hash each of these would take days.
  expect(await planned(1_000_000_000_000)).toMatchObject({ total: 1_000_000_000_000, files: 3, bytes: 3 })
})
