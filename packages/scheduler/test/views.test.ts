import type { Reader } from '@skrei/state-store'
import { memoryStateStore } from '@skrei/state-store/memory'
import { expect, test } from 'vitest'
import { jobViews } from '../src/requester/job-views.ts'
import { jobHead } from '../src/requester/result.ts'
import { createSimulation } from '../src/simulation/index.ts'
import { noopJob } from './noop-job.ts'

const short = noopJob({ engine: { type: 'noop', duration: 10, files: {} } })

test('jobs are listed in the order asked for, a page at a time, by state and by prefix', async () => {
  const world = await createSimulation({ nodes: 1 })
  const { scheduler } = world.node(0)
  const ids: string[] = []
  for (let count = 0; count < 12; count++) ids.push(await scheduler.submit(short))
  expect(scheduler.standing().jobs).toEqual({ open: 12 })
  await scheduler.cancel(ids[5] ?? '')
  for (const id of ids) await world.finish(world.node(0), id)
  const listed = (where: Parameters<typeof scheduler.jobs>[0]): readonly string[] => scheduler.jobs(where).map(({ id }) => id)
  expect(listed({ limit: 100 })).toEqual(ids)
  expect(listed({ limit: 3, newestFirst: true })).toEqual(ids.toReversed().slice(0, 3))
  expect(listed({ limit: 3, newestFirst: true, after: ids[9] ?? '' })).toEqual([ids[8], ids[7], ids[6]])
  expect(listed({ limit: 3, state: 'cancelled' })).toEqual([ids[5]])
  expect(listed({ limit: 2, state: 'completed', newestFirst: true, after: ids[6] ?? '' })).toEqual([ids[4], ids[3]])
  const prefix = (ids[3] ?? '').slice(0, -1)
  expect(listed({ limit: 100, prefix, newestFirst: true })).toEqual(ids.slice(0, 9).toReversed())
  expect(listed({ limit: 100, prefix: 'other' })).toEqual([])
  expect(scheduler.standing().jobs).toEqual({ open: 0 })
  await world.stop()
})

test('ten of 20,000 jobs are read as ten rows', async () => {
  const world = await createSimulation({ nodes: 1 })
  const jobId = await world.node(0).scheduler.submit(short)
  await world.finish(world.node(0), jobId)
  const snapshot = world.node(0).store.snapshot()
  await world.stop()
  using store = memoryStateStore({ from: snapshot })
  store.transact((transaction) => {
    const row = transaction.get('job', jobId)
    if (row) for (let index = 0; index < 20_000; index++) transaction.put({ ...row, id: `j${String(index).padStart(5, '0')}` })
  })
  let rows = 0
  const counting = (reader: Reader): Reader => ({
    ...reader,
    get: () => expect.unreachable(),
    list: (kind, where) => {
      const found = reader.list(kind, where)
      rows += found.length
      return found
    },
  })
  const views = store.read((reader) => jobViews(counting(reader), { limit: 10, newestFirst: true }))
  expect(views).toHaveLength(10)
  expect(rows).toBe(10)
})

test('what was submitted, and each shard as it is now, can be read; of a job that is not there nothing', async () => {
  const world = await createSimulation({ nodes: 2, capacity: { cpu: 3000 } })
  const node = world.node(0)
  const spec = noopJob({ name: 'seven', resources: { cpu: 1000 }, sharding: { count: 7 }, engine: { type: 'noop', duration: 60_000, files: {} } })
  const jobId = await node.scheduler.submit(spec)
  expect(node.scheduler.spec(jobId)).toEqual(spec)
  expect(node.scheduler.shards(jobId).map(({ state }) => state)).toEqual(Array(7).fill('placing'))
  await world.clock.advance(20_000)
  const running = node.scheduler.shards(jobId, { state: 'running' })
  expect(running).toHaveLength(6)
  for (const { index, node: by, open, executions } of running) {
    expect(open).toBe(true)
    const [execution] = executions
    expect(execution).toMatchObject({ node: by, outcome: 'running' })
    const there = world.nodes.find(({ id }) => id === by)
    expect(there?.scheduler.executions({ limit: 100, open: true })).toContainEqual({
      id: execution?.id,
      requester: node.id,
      jobId,
      shard: index,
      state: 'running',
      open: true,
      resources: expect.objectContaining({ cpu: 1000 }),
      devices: [],
    })
  }
  await world.finish(node, jobId)
  const all = node.scheduler.shards(jobId)
  expect(all.map(({ index, state, open, executions }) => ({ index, state, open, ran: executions.map(({ outcome }) => outcome) }))).toEqual(
    Array.from({ length: 7 }, (_, index) => ({ index, state: 'completed', open: false, ran: ['completed'] })),
  )
  expect(node.scheduler.shards(jobId, { after: 2, limit: 2 }).map(({ index }) => index)).toEqual([3, 4])
  expect(node.scheduler.shards(jobId, { after: 6 })).toEqual([])
  const { shards, ...head } = node.scheduler.result(jobId) ?? { shards: [] }
  expect(shards).toEqual(all.map(({ open: _, ...rest }) => rest))
  expect(node.scheduler.resultHead(jobId)).toEqual(head)
  // Whatever the number of shards.
  expect(node.store.read((reader) => jobHead({ ...reader, list: () => expect.unreachable() }, jobId))).toEqual(head)
  expect(node.scheduler.resultHead('job')).toBeUndefined()
  expect([node.scheduler.spec('job'), node.scheduler.shards('job')]).toEqual([undefined, []])
  await world.stop()
})

test('a shard that waits for a node says why those that were asked do not take it now', async () => {
  let isAway = true
  const world = await createSimulation({
    nodes: 3,
    compute: { policy: () => (isAway ? [{ code: 'assess-failed', detail: 'the registry does not answer' }] : []) },
  })
  const { scheduler } = world.node(0)
  const id = await scheduler.submit(short)
  await world.clock.advance(10_000)
  expect(scheduler.shards(id)).toMatchObject([{ open: true, refusals: [{ code: 'assess-failed', detail: 'the registry does not answer' }], executions: [] }])
  isAway = false
  expect(await world.finish(world.node(0), id)).toBe('completed')
  expect(scheduler.shards(id)[0]?.refusals).toBeUndefined()
  await world.stop()
})

test('a node says what it has, what of it is free, and which execution has which device', async () => {
  const device = { id: 'gpu-0', kind: 'gpu' as const, vendor: 'nvidia', model: 'h200', memory: 100 }
  const world = await createSimulation({ nodes: 2, requesterOnly: true, devices: [device, { ...device, id: 'gpu-1' }] })
  const [requester, compute] = [world.node(0), world.node(1)]
  const job = noopJob({ engine: { type: 'noop', duration: 60_000, files: {} }, resources: { cpu: 1500, gpu: { count: 1 } }, sharding: { count: 3 } })
  const jobId = await requester.scheduler.submit(job)
  await world.clock.advance(10_000)
  const held = compute.scheduler.executions({ limit: 10, open: true }).filter(({ state }) => state === 'running')
  expect(held).toHaveLength(2)
  const devices = ['gpu-0', 'gpu-1'].map((id) => ({ ...device, id, execution: held.find(({ devices: given }) => given.includes(id))?.id }))
  const standing = compute.scheduler.standing()
  expect(standing).toMatchObject({ capacity: compute.capacity, free: { cpu: 1000 }, devices, queued: 1, executions: 2, jobs: { open: 0 } })
  expect(standing.incarnation).toEqual(compute.scheduler.nodes().find(({ node }) => node === compute.id)?.incarnation)
  const { incarnation, ...rest } = requester.scheduler.standing()
  expect(rest).toEqual({ draining: false, unsent: 0, jobs: { open: 1 } })
  expect(incarnation.counter).toBeGreaterThan(0)
  expect(requester.scheduler.executions({ limit: 10 })).toEqual([])
  await world.finish(requester, jobId)
  await world.clock.advance(10_000)
  expect(compute.scheduler.standing()).toMatchObject({ free: compute.capacity, devices: [device, { ...device, id: 'gpu-1' }], queued: 0, executions: 0 })
  expect(compute.scheduler.executions({ limit: 10, open: true })).toEqual([])
  const [first, ...others] = compute.scheduler.executions({ limit: 10 })
  expect(compute.scheduler.executions({ limit: 10, after: first?.id ?? '' })).toEqual(others)
  await world.stop()
})
