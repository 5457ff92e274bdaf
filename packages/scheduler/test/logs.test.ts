import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Executor } from '@skrei/executor'
import type { Publisher } from '@skrei/storage'
import { localPublisher, localWorkspace } from '@skrei/storage/local'
import { virtualClock } from '@skrei/transport/memory'
import { expect, test } from 'vitest'
import { mostEvidence } from '../src/compute/evidence.ts'
import { createLogFetcher } from '../src/requester/logs.ts'
import { resultEntries } from '../src/requester/result.ts'
import { createSimulation, type SimulatedNode, type Simulation } from '../src/simulation/index.ts'
import { quiet, watchInvariants } from './invariants.ts'
import { noopJob } from './noop-job.ts'

const talking = noopJob({ engine: { type: 'noop', duration: 60_000, stdout: 'so far' }, retry: { attempts: 1 } })

/** The paths of a job's result, with what the files say. */
const listing = async (requester: SimulatedNode, jobId: string): Promise<Readonly<Record<string, string>>> => {
  const paths: Record<string, string> = {}
  const logs = {
    fetch: (_shard: string, { cid = '' }: { readonly cid?: string }) => Promise.resolve([{ path: cid, content: (async function* () {})() }]),
    close: () => Promise.resolve(),
  }
  for await (const { path, content } of resultEntries(requester.store.read, jobId, logs)) paths[path] = 'cid' in content ? (content.cid ?? '') : ''
  return paths
}

const settled = async (world: Simulation): Promise<void> => {
  await world.clock.advance(7_200_000)
  expect([quiet(world), world.errors]).toEqual([[], []])
  await world.stop()
}

/** What the composed result holds in this file. */
const composed = (world: Simulation, requester: SimulatedNode, jobId: string, path: string): string | undefined =>
  world.contentOf(requester.scheduler.job(jobId)?.reference?.cid ?? '')?.[path]

test('what an execution wrote before it was cancelled is in the result of its job', async () => {
  const world = await createSimulation({ nodes: 3, requesterOnly: true, link: { latency: 5 } })
  const invariants = watchInvariants(world)
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit({ ...talking, sharding: { count: 2 } })
  await world.clock.advance(5000)
  await requester.scheduler.cancel(jobId)
  expect(await world.finish(requester, jobId)).toBe('cancelled')
  for (const index of [0, 1]) expect(composed(world, requester, jobId, `shards/${index}/logs/stdout`)).toBe('so far')
  const [shard] = requester.scheduler.result(jobId)?.shards ?? []
  expect(shard).toMatchObject({ state: 'cancelled', logs: { type: 'ipfs' } })
  expect(Object.keys(await listing(requester, jobId))).toEqual([
    expect.stringContaining('shards/0/logs/'),
    expect.stringContaining('shards/1/logs/'),
    'result.json',
  ])
  invariants.checkAll()
  await settled(world)
})

test('what it wrote before its node stopped it, because nothing was heard from the requester for a lease, is there', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 } })
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit(talking)
  await world.clock.advance(5000)
  world.network.block(requester.id, world.node(1).id)
  expect(await world.finish(requester, jobId)).toBe('failed')
  expect(requester.scheduler.result(jobId)?.shards[0]?.failure?.code).toBe('node-lost')
  expect(composed(world, requester, jobId, 'shards/0/logs/stdout')).toBe('so far')
  world.network.heal()
  await settled(world)
})

test.each([
  ['by the fault of its node', { duration: 0 }],
  ['because it did not end at its limit', { duration: 3_600_000 }],
])('what it wrote before it failed %s is there', async (_what, { duration }) => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 }, compute: { executors: [faulty(duration, () => world)] } })
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit({ ...talking, timeouts: { execution: 10_000 } })
  expect(await world.finish(requester, jobId)).toBe('failed')
  expect(requester.scheduler.result(jobId)?.shards[0]).toMatchObject({ state: 'failed', failure: { code: 'node-fault' }, logs: { type: 'ipfs' } })
  expect(composed(world, requester, jobId, 'shards/0/logs/stdout')).toBe('so far')
  await settled(world)
})

/** Writes, and then fails by its own fault, or goes on for ever. */
const faulty = (duration: number, world: () => Simulation): Executor => ({
  engine: 'noop',
  inventory: () => Promise.resolve({ version: '1', devices: [] }),
  assess: () => Promise.resolve([]),
  run: async function* (_request, { signal }) {
    yield { type: 'output', stream: 'stdout', offset: 0, bytes: new TextEncoder().encode('so far') }
    await new Promise<void>((resolve, reject) => {
      world().clock.at(world().clock.now() + duration, resolve)
      signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    })
    yield { type: 'exit', failure: { code: 'node-fault', detail: 'the engine broke' }, usage: {}, facts: {} }
  },
  stop: () => Promise.resolve(),
  leftovers: async function* () {},
  remove: () => Promise.resolve(),
})

test.each([
  ['fails', () => Promise.reject(new Error('no space'))],
  ['never ends', () => new Promise<void>(() => {})],
] as const)('publishing of logs that %s changes no outcome', async (_how, compose) => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 } })
  world.interference.compose = (id, signal) => {
    if (!id.endsWith('-logs')) return Promise.resolve()
    return Promise.race([compose(), new Promise<void>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)))])
  }
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit(talking)
  await world.clock.advance(5000)
  await requester.scheduler.cancel(jobId)
  expect(await world.finish(requester, jobId, 60_000)).toBe('cancelled')
  expect(requester.scheduler.result(jobId)?.shards[0]).toMatchObject({ state: 'cancelled', executions: [{ outcome: 'stopped' }] })
  expect(requester.scheduler.result(jobId)?.shards[0]).not.toHaveProperty('logs')
  await settled(world)
})

test('logs that a node refers to are fetched within bounds of bytes and time, and cost no result', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'skrei-logs-'))
  try {
    const clock = virtualClock({ start: 0 })
    const workspace = localWorkspace({ directory: join(directory, 'workspace') })
    const publisher = localPublisher({ directory: join(directory, 'results') })
    const never: Publisher = {
      ...publisher,
      fetch: async function* () {
        await new Promise(() => {})
        yield 1
      },
    }
    const publish = async (id: string, files: Readonly<Record<string, string>>) => {
      await mkdir(join(directory, id))
      for (const [name, text] of Object.entries(files)) await writeFile(join(directory, id, name), text)
      return await publisher.publish(id, join(directory, id), {})
    }
    const read = async (from: Publisher, logs: Parameters<ReturnType<typeof createLogFetcher>['fetch']>[1]) => {
      const fetcher = createLogFetcher({ publisher: from, workspace, clock, limits: { stdout: 10, stderr: 10 } }, { signal: new AbortController().signal })
      const fetching = fetcher.fetch('job-0', logs)
      if (from === never) await clock.advance(5000)
      const files: Record<string, string> = {}
      for (const { path, content } of await fetching) for await (const bytes of content) files[path] = (files[path] ?? '') + new TextDecoder().decode(bytes)
      await fetcher.close()
      return files
    }
    const small = await publish('small', { stdout: 'out', stderr: 'err', other: '!' })
    expect(await read(publisher, small)).toEqual({ stdout: 'out', stderr: 'err' })
    expect(await read(publisher, await publish('counted', { stdout: 'out', evidence: '{}' }))).toEqual({ stdout: 'out', evidence: '{}' })
    expect(await read(publisher, await publish('large', { stdout: 'x'.repeat(11) }))).toEqual({})
    expect(await read(publisher, await publish('huge', { evidence: 'x'.repeat(mostEvidence + 21) }))).toEqual({})
    expect(await read(publisher, { type: 'local', path: join(directory, 'workspace') })).toEqual({})
    expect(await read(publisher, { type: 'ipfs', cid: 'bafy' })).toEqual({})
    expect(await read(never, small)).toEqual({})
    const left: string[] = []
    for await (const id of workspace.leftovers()) left.push(id)
    expect(left).toEqual([])
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})
