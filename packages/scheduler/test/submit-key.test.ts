import { expect, test } from 'vitest'
import { type CrashPoint, createSimulation } from '../src/simulation/index.ts'
import { noopJob } from './noop-job.ts'

const day = 86_400_000
const spec = noopJob({ engine: { type: 'noop', duration: 10, files: {} } })
const other = { ...spec, name: 'other' }
const reused = { name: 'SubmitError', code: 'key-reused' }

test('the same spec with the same key is the same job, also at once, at the end and after a restart; another spec is refused', async () => {
  const world = await createSimulation({ nodes: 1 })
  const node = world.node(0)
  const ids = await Promise.all([1, 2, 3].map(() => node.scheduler.submit(spec, { key: 'mine' })))
  expect(new Set(ids).size).toBe(1)
  const [id = ''] = ids
  expect(await node.scheduler.submit({ ...spec }, { key: 'mine' })).toBe(id)
  await expect(node.scheduler.submit(other, { key: 'mine' })).rejects.toMatchObject(reused)
  const [first, second] = await Promise.allSettled([node.scheduler.submit(spec, { key: 'new' }), node.scheduler.submit(other, { key: 'new' })])
  expect([first.status, second]).toEqual(['fulfilled', { status: 'rejected', reason: expect.objectContaining(reused) }])
  expect(await node.scheduler.submit(spec, { key: 'another' })).not.toBe(id)
  expect(await node.scheduler.submit(spec)).not.toBe(id)
  await world.finish(node, id)
  expect(await node.scheduler.submit(spec, { key: 'mine' })).toBe(id)
  node.crash()
  await node.restart()
  expect(await node.scheduler.submit(spec, { key: 'mine' })).toBe(id)
  await expect(node.scheduler.submit(other, { key: 'mine' })).rejects.toMatchObject(reused)
  expect(node.scheduler.jobs({ limit: 10 })).toHaveLength(4)
  await world.stop()
})

test.each(['', 'x'.repeat(257), 'a\0b', '\ud800', 7 as unknown as string])('a key that is none is refused: %j', async (key) => {
  const world = await createSimulation({ nodes: 1 })
  await expect(world.node(0).scheduler.submit(spec, { key })).rejects.toMatchObject({ name: 'SubmitError', code: 'key-invalid' })
  expect(world.node(0).scheduler.jobs({ limit: 10 })).toEqual([])
  await world.stop()
})

test('a job that is refused leaves its key free', async () => {
  const world = await createSimulation({ nodes: 1 })
  const { scheduler } = world.node(0)
  await expect(scheduler.submit(noopJob({ type: 'service' }), { key: 'mine' })).rejects.toMatchObject({ code: 'not-built' })
  expect(await scheduler.submit(spec, { key: 'mine' })).toBe(await scheduler.submit(spec, { key: 'mine' }))
  await world.stop()
})

test('a key is forgotten with its job', async () => {
  const quiet = { lease: 1_200_000, heartbeat: 600_000, announcementTtl: 300_000, keepJobs: day, keepExecutions: day }
  const world = await createSimulation({ nodes: 1, settings: quiet })
  const node = world.node(0)
  const id = await node.scheduler.submit(spec, { key: 'mine' })
  await world.finish(node, id)
  await world.clock.advance(day / 2)
  expect(await node.scheduler.submit(spec, { key: 'mine' })).toBe(id)
  await world.clock.advance(day)
  expect(node.store.read((reader) => reader.list('key', { limit: 10 }))).toEqual([])
  expect(await node.scheduler.submit(other, { key: 'mine' })).not.toBe(id)
  await world.stop()
})

/** Crashes the node at the `number`th point after it is asked to submit; returns whether there was one. */
const crashedAt = async (number: number): Promise<boolean> => {
  const crashing = { armed: false, points: 0, crashed: false }
  const crash = (_: string, point: CrashPoint): boolean => {
    if (!crashing.armed || point === 'effect' || ++crashing.points !== number) return false
    crashing.crashed = true
    return true
  }
  const world = await createSimulation({ nodes: 1, crash })
  const node = world.node(0)
  crashing.armed = true
  const before = await node.scheduler.submit(spec, { key: 'mine' }).catch(() => undefined)
  crashing.armed = false
  if (crashing.crashed) {
    await world.clock.advance(10)
    await node.restart()
  }
  const id = await node.scheduler.submit(spec, { key: 'mine' })
  expect(before ?? id).toBe(id)
  expect(node.scheduler.jobs({ limit: 10 }).map((job) => job.id)).toEqual([id])
  expect(await world.finish(node, id)).toBe('completed')
  await world.stop()
  return crashing.crashed
}

test('wherever the node crashes while a job is submitted with a key, the same submission again makes one job in all', async () => {
  let crashes = 0
  while (await crashedAt(crashes + 1)) crashes++
  expect(crashes).toBeGreaterThan(4)
})
