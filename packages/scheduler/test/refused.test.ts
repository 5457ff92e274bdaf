import type { RefusalCode } from '@skrei/job-spec'
import { expect, test } from 'vitest'
import { type Barred, everyBarred, type Refused, withBarred } from '../src/machines/refused.ts'
import { createSimulation } from '../src/simulation/index.ts'
import { noopJob } from './noop-job.ts'

type Kept = { readonly barred: readonly Barred[]; readonly refused?: readonly Refused[] }

const all = (nodes: number, code: (index: number) => RefusalCode): Kept => {
  let kept: Kept = { barred: [] }
  for (let index = 0; index < nodes; index++)
    kept = withBarred(kept, { node: `node-${index}`, refusals: [{ code: code(index), detail: `I am ${index}: ${'x'.repeat(200)}` }] })
  return kept
}

test('what many nodes refuse for is kept by code, who they are by name, and both within bounds', () => {
  const codes: readonly RefusalCode[] = ['policy', 'constraint', 'engine-unavailable']
  const kept = all(900, (index) => codes[index % 3] as RefusalCode)
  expect(kept.barred).toHaveLength(64)
  expect(kept.refused?.map(({ refusal }) => refusal.code).toSorted()).toEqual([...codes].toSorted())
  expect(new Set(everyBarred(kept).map(({ node }) => node)).size).toBe(900)
  const many = all(5000, (index) => codes[index % 3] as RefusalCode)
  expect(everyBarred(many).length).toBeLessThanOrEqual(1024 + codes.length)
  expect(everyBarred(many).at(-1)?.node).toBe('node-4999')
  expect(JSON.stringify(many).length).toBeLessThan(60_000)
  // One that says it again is one.
  const [first] = everyBarred(kept)
  expect(everyBarred(withBarred(kept, first as Barred)).filter(({ node }) => node === first?.node)).toHaveLength(1)
})

test.each([
  ['policy', 'no-node', '0 of 80 nodes could run this: 80 say: not for you (policy)'],
  ['source-forbidden', 'source-forbidden', 'not for you'],
] as const)('a job that more nodes refuse by %s than a shard remembers in full fails with %s, and all are counted', async (code, failure, detail) => {
  const world = await createSimulation({ nodes: 81, requesterOnly: true, compute: { policy: () => [{ code, detail: 'not for you' }] } })
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit(noopJob({ timeouts: { queue: 120_000 } }))
  expect(await world.finish(requester, jobId)).toBe('failed')
  expect(requester.scheduler.result(jobId)?.shards[0]?.failure).toEqual({ code: failure, detail })
  expect(requester.scheduler.job(jobId)?.failure?.code).toBe(failure)
  await world.stop()
})

test('where all refused but its time is over before that is certain, a shard fails by why they refused', async () => {
  const world = await createSimulation({ nodes: 3, requesterOnly: true, compute: { policy: () => [{ code: 'policy', detail: 'not for you' }] } })
  const requester = world.node(0)
  // Not yet: others may be there that have not announced themselves.
  const jobId = await requester.scheduler.submit(noopJob({ timeouts: { queue: 3000 } }))
  expect(await world.finish(requester, jobId)).toBe('failed')
  expect(requester.scheduler.result(jobId)?.shards[0]?.failure).toEqual({ code: 'no-node', detail: '0 of 2 nodes could run this: 2 say: not for you (policy)' })
  await world.stop()
})
