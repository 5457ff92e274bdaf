import type { JobSpec } from '@skrei/job-spec'
import { expect, test } from 'vitest'
import { checkJob } from '../src/index.ts'
import { createSimulation } from '../src/simulation/index.ts'
import { noopJob } from './noop-job.ts'

const wrong: readonly [string, unknown][] = [
  ['sharding,count', { sharding: { count: 5e7 } }],
  ['sharding,count', { sharding: { count: -1 } }],
  ['publisher', { publisher: { type: 'ipfs' } }],
  ['timeouts,total', { timeouts: { total: Number.NaN } }],
  ['timeouts,queue', { timeouts: { queue: new Date(0) } }],
  ['name', { name: undefined }],
  ['nam', { nam: 'x' }],
  ['retry,attempts', { retry: { attempts: 0 } }],
]

test('a job that no file could say is refused by submit, plan and checkJob, with its path, and leaves nothing', async () => {
  const world = await createSimulation({ nodes: 1 })
  const { scheduler } = world.node(0)
  const offer = { engines: ['noop'], sources: [], publishers: ['ipfs'], capacity: world.node(0).capacity, devices: [], labels: {} }
  for (const [path, change] of wrong) {
    const spec = { ...noopJob(), ...(change as object) } as JobSpec
    const refusal = { name: 'SubmitError', code: 'job-invalid', path: path.split(',') }
    await expect(scheduler.submit(spec)).rejects.toMatchObject(refusal)
    await expect(scheduler.plan(spec)).rejects.toMatchObject(refusal)
    expect(checkJob(spec, offer)).toMatchObject({ refused: refusal, misfits: [] })
  }
  await expect(scheduler.submit(undefined as unknown as JobSpec)).rejects.toMatchObject({ code: 'job-invalid' })
  await expect(scheduler.submit(noopJob({ type: 'service' }))).rejects.toMatchObject({ code: 'not-built', path: ['type'] })
  expect(scheduler.jobs({ limit: 10 })).toEqual([])
  await world.stop()
})

test('what a job says when it is submitted counts, not which object says it', async () => {
  const world = await createSimulation({ nodes: 1 })
  const { scheduler } = world.node(0)
  const env: Record<string, string> = { A: '1' }
  const spec = noopJob({ name: 'one', env })
  const one = await scheduler.submit(spec)
  env['A'] = '2'
  const two = await scheduler.submit(spec)
  const again = await scheduler.submit(noopJob({ env: { A: '1' }, name: 'one' }))
  expect([one, two, again].map((id) => scheduler.spec(id)?.env)).toEqual([{ A: '1' }, { A: '2' }, { A: '1' }])
  const [first, second, third] = [one, two, again].map((id) => scheduler.job(id)?.specCid)
  expect(first).toBe(third)
  expect(first).not.toBe(second)
  // What a driver of its own is told is kept as it was said, too.
  const fields = { deep: { value: 1 } }
  const extended = (): JobSpec => noopJob({ engine: { type: 'example/own', fields } as unknown as JobSpec['engine'] })
  const before = await scheduler.submit(extended())
  fields.deep.value = 2
  const after = await scheduler.submit(extended())
  fields.deep.value = 1
  const same = await scheduler.submit(extended())
  const said = [before, after, same].map((id) => scheduler.spec(id)?.engine)
  expect(said).toMatchObject([{ fields: { deep: { value: 1 } } }, { fields: { deep: { value: 2 } } }, { fields: { deep: { value: 1 } } }])
  // As good as equal, but for what no file could say.
  await expect(scheduler.submit({ ...spec, name: undefined } as unknown as JobSpec)).rejects.toMatchObject({ code: 'job-invalid' })
  await expect(scheduler.submit(Object.assign(Object.create({ inherited: 1 }), spec) as JobSpec)).rejects.toMatchObject({
    code: 'job-invalid',
    path: ['inherited'],
  })
  await world.stop()
})
