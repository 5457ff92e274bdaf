import type { Executor } from '@skrei/executor'
import { expect, test } from 'vitest'
import { createSimulation, type SimulatedNode } from '../src/simulation/index.ts'
import { quiet } from './invariants.ts'
import { noopJob } from './noop-job.ts'

const effects = (node: SimulatedNode): readonly string[] =>
  node.store.read((reader) => reader.pending(0, 1000).flatMap(({ type }) => (type === 'send' ? [] : [type])))

const untilAborted = (begun: string[], ended: string[], id: string, signal: AbortSignal | undefined): Promise<never> => {
  begun.push(id)
  return new Promise((_, reject) =>
    signal?.addEventListener('abort', () => {
      ended.push(id)
      reject(signal.reason)
    }),
  )
}

/** Takes asks, and never says whether it would run one. */
const undecided = (begun: string[], ended: string[]): Executor => ({
  engine: 'noop',
  inventory: () => Promise.resolve({ version: '1', devices: [] }),
  assess: (task, options) => untilAborted(begun, ended, task.specCid, options?.signal),
  run: () => {
    throw new Error('nothing is awarded')
  },
  stop: () => Promise.resolve(),
  leftovers: async function* () {},
  remove: () => Promise.resolve(),
})

/** A node that looks into a job and comes to no end of it. */
const looking = async () => {
  const [begun, ended]: [string[], string[]] = [[], []]
  const world = await createSimulation({
    nodes: 2,
    requesterOnly: true,
    settings: { assess: 5000 },
    compute: { executors: [undecided(begun, ended)] },
  })
  const [requester, node] = [world.node(0), world.node(1)]
  await requester.scheduler.submit(noopJob())
  return { world, requester, node, begun, ended }
}

test('an assessment ends with the time for it: its effect is aborted, off the outbox, and not begun again by a restart', async () => {
  const { world, requester, node, begun, ended } = await looking()
  await world.clock.advance(3000)
  expect([begun.length, ended.length, effects(node)]).toEqual([1, 0, ['assess']])
  await world.clock.advance(3000)
  expect([ended.length, node.store.read((reader) => reader.list('compute', { state: 'declined', limit: 10 }).length)]).toEqual([1, 1])
  expect(effects(node).length).toBeLessThan(2)
  requester.crash()
  await world.clock.advance(6000)
  const before = begun.length
  expect([ended.length, effects(node)]).toEqual([before, []])
  node.crash()
  await node.restart()
  await world.clock.advance(1000)
  expect(begun.length).toBe(before)
  expect(world.errors).toEqual([])
  await world.stop()
})

test('an effect that an earlier release left for an object that is over is dropped at start', async () => {
  const { world, requester, node, begun } = await looking()
  await world.clock.advance(6000)
  requester.crash()
  await world.clock.advance(6000)
  const before = begun.length
  const [declined] = node.store.read((reader) => reader.list('compute', { state: 'declined', limit: 1 }))
  const id = declined?.id ?? ''
  node.store.transact((transaction) => transaction.enqueue({ kind: 'compute', id, type: 'assess', lane: `compute ${id}`, data: null }))
  node.crash()
  await node.restart()
  await world.clock.advance(1000)
  expect([begun.length, effects(node)]).toEqual([before, []])
  await world.stop()
})

test('composing that takes too long ends with the job', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, settings: { publish: 5000 } })
  const [begun, ended]: [string[], string[]] = [[], []]
  world.interference.compose = (id, signal) => untilAborted(begun, ended, id, signal)
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit(noopJob())
  expect(await world.finish(requester, jobId)).toBe('failed')
  await world.clock.advance(200)
  expect([begun, ended, effects(requester)]).toEqual([[jobId], [jobId], []])
  requester.crash()
  await requester.restart()
  await world.clock.advance(1000)
  expect(begun).toHaveLength(1)
  await world.clock.advance(7_200_000)
  expect([quiet(world), world.errors]).toEqual([[], []])
  await world.stop()
})

test('what publishing asked for is off the outbox once it is stopped, and what takes it back is not', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true })
  const [requester, node] = [world.node(0), world.node(1)]
  let stuck = (): void => {}
  const publishing = new Promise<void>((resolve) => {
    world.interference.publish = () => {
      resolve()
      // Does not hear that nobody wants it any more.
      return new Promise((go) => {
        stuck = go
      })
    }
  })
  const jobId = await requester.scheduler.submit(noopJob())
  let isPublishing = false
  void publishing.then(() => {
    isPublishing = true
  })
  while (!isPublishing) await world.clock.next()
  expect(effects(node)).toEqual(['publish'])
  await requester.scheduler.cancel(jobId)
  await world.clock.advance(2000)
  expect(effects(node)).toEqual(['unpublish'])
  stuck()
  expect(await world.finish(requester, jobId)).toBe('cancelled')
  await world.clock.advance(7_200_000)
  expect(world.happened.map(({ what }) => what).slice(-2)).toEqual(['published', 'unpublished'])
  expect([quiet(world), world.errors]).toEqual([[], []])
  await world.stop()
})
