import { expect, test } from 'vitest'
import { createSimulation } from '../src/simulation/index.ts'
import { noopJob } from './noop-job.ts'

test('a node that is stopping accepts no job, plans none, and tells those who wait', async () => {
  const world = await createSimulation({ nodes: 1 })
  const { scheduler } = world.node(0)
  const job = await scheduler.submit(noopJob())
  const waiting = [scheduler.finished(job), scheduler.finished(job)].map((one) =>
    expect(one).rejects.toMatchObject({ name: 'SchedulerError', code: 'stopped' }),
  )
  const stopping = scheduler[Symbol.asyncDispose]()
  await expect(scheduler.submit(noopJob())).rejects.toMatchObject({ code: 'not-started' })
  await expect(scheduler.plan(noopJob())).rejects.toMatchObject({ code: 'not-started' })
  await Promise.all(waiting)
  await expect(scheduler.finished(job)).rejects.toMatchObject({ code: 'stopped' })
  await world.clock.advance(10)
  await stopping
})

test('a scheduler is started once', async () => {
  const world = await createSimulation({ nodes: 1 })
  const { scheduler } = world.node(0)
  await expect(scheduler.start()).rejects.toMatchObject({ name: 'SchedulerError', code: 'started-before' })
  await world.stop()
  await expect(scheduler.start()).rejects.toMatchObject({ code: 'started-before' })
})

test('a history without a page is its first page', async () => {
  const world = await createSimulation({ nodes: 1 })
  const { scheduler } = world.node(0)
  const job = await scheduler.submit(noopJob())
  await world.finish(world.node(0), job)
  const items = scheduler.history(job)
  expect(items.length).toBeGreaterThan(5)
  expect(items).toEqual(scheduler.history(job, { limit: 256 }))
  expect(scheduler.executionHistory(items.find(({ kind }) => kind === 'execution')?.id ?? '').length).toBeGreaterThan(3)
  await world.stop()
})

test('those who wait for one job are asked nothing about another, and all are told of their own', async () => {
  const world = await createSimulation({ nodes: 1 })
  const { scheduler, store } = world.node(0)
  const [first, second] = [await scheduler.submit(noopJob()), await scheduler.submit(noopJob({ engine: { type: 'noop', duration: 60_000, files: {} } }))]
  const ending = new AbortController()
  const others = Array.from({ length: 50 }, () => scheduler.finished(second, { signal: ending.signal }))
  const mine = Array.from({ length: 3 }, () => scheduler.finished(first))
  await world.finish(world.node(0), first)
  expect((await Promise.all(mine)).map(({ state }) => state)).toEqual(['completed', 'completed', 'completed'])
  ending.abort(new Error('given up'))
  for (const one of others) await expect(one).rejects.toThrow('given up')
  await expect(scheduler.finished('nobody')).rejects.toMatchObject({ code: 'no-job' })
  expect(store.read((reader) => reader.get('job', second))?.open).toBe(true)
  await world.stop()
})
