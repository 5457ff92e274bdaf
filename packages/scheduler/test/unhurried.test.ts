import type { JobSpec } from '@skrei/job-spec'
import { decodeMessage } from '@skrei/protocol'
import type { Transport } from '@skrei/transport'
import { expect, test } from 'vitest'
import { createSimulation } from '../src/simulation/index.ts'
import { quiet } from './invariants.ts'
import { noopJob } from './noop-job.ts'

const quick = { engine: { type: 'noop', duration: 1 }, publisher: [{ type: 'none' }], outputs: [] } satisfies Partial<JobSpec>

/** Which messages left together, frame by frame. */
const watched = async () => {
  const frames: string[] = []
  const between = (transport: Transport, self: string): Transport => ({
    ...transport,
    send: (to, messages, options) => {
      const types = messages.map((bytes) => decodeMessage(bytes, { network: 'test', self: to, from: self, check: () => true, verified: () => false }).type)
      frames.push(types.join(' '))
      return transport.send(to, messages, options)
    },
  })
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 1 }, between })
  return { world, frames }
}

test('that an execution was awarded leaves with what it came to, and that it is settled with the next ask of the same node', async () => {
  const { world, frames } = await watched()
  const requester = world.node(0)
  for (let count = 0; count < 3; count += 1) {
    const jobId = await requester.scheduler.submit(noopJob(quick))
    while (requester.scheduler.job(jobId)?.open !== false) await world.clock.next()
  }
  expect(frames).toEqual([
    'ask',
    'bid',
    'award',
    'awarded finished',
    'settle ask',
    'bid',
    'award',
    'awarded finished',
    'settle ask',
    'bid',
    'award',
    'awarded finished',
  ])
  await world.clock.advance(100)
  expect(frames.at(-1)).toBe('settle')
  await world.clock.advance(60_000)
  expect([quiet(world), world.errors]).toEqual([[], []])
  await world.stop()
})

test('what is not hurried leaves soon where nothing comes that would take it along', async () => {
  const { world, frames } = await watched()
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit(noopJob({ ...quick, engine: { type: 'noop', duration: 5000 } }))
  await world.clock.advance(100)
  expect(frames).toEqual(['ask', 'bid', 'award', 'awarded'])
  expect(requester.store.read((reader) => reader.list('execution', { limit: 2 })).map(({ state }) => state)).toEqual(['running'])
  expect(await world.finish(requester, jobId)).toBe('completed')
  await world.clock.advance(100)
  expect(frames.slice(4)).toEqual(['finished', 'settle'])
  await world.stop()
})
