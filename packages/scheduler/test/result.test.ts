import { memoryStateStore } from '@skrei/state-store/memory'
import { expect, test } from 'vitest'
import { jobResult, resultBytes } from '../src/requester/result.ts'
import { createSimulation } from '../src/simulation/index.ts'
import { noopJob } from './noop-job.ts'

const text = async (chunks: AsyncIterable<Uint8Array>): Promise<{ text: string; largest: number }> => {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(chunk)
  return { text: Buffer.concat(all).toString(), largest: Math.max(...all.map(({ length }) => length)) }
}

test('result.json is written as a stream, byte for byte as it would be at once', async () => {
  const world = await createSimulation({ nodes: 2 })
  const node = world.node(0)
  for (const change of [
    {},
    { sharding: { count: 300 } },
    { inputs: [{ path: '/in', source: { type: 'inline' as const, text: '0' } }], sharding: { glob: 'x' } },
  ]) {
    const jobId = await node.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 1, files: {} }, ...change }))
    await world.finish(node, jobId)
    const { text: streamed, largest } = await text(resultBytes(node.store.read, jobId))
    expect(streamed).toBe(`${JSON.stringify(jobResult(node.store.read, jobId), undefined, 2)}\n`)
    expect(largest).toBeLessThan(100_000)
  }
  await world.stop()
})

test('what a node says of a failure cannot break the lines of result.json', async () => {
  const world = await createSimulation({ nodes: 1 })
  const node = world.node(0)
  const jobId = await node.scheduler.submit(noopJob())
  await world.finish(node, jobId)
  using store = memoryStateStore({ from: node.store.snapshot() })
  store.transact((transaction) => {
    const [row] = transaction.list('shard', { parent: jobId, limit: 1 })
    if (row) transaction.put({ ...row, data: { ...(row.data as object), failure: { code: 'exit-nonzero', detail: 'a\u2028b\nc\r"' } } })
  })
  expect((await text(resultBytes(store.read, jobId))).text).toBe(`${JSON.stringify(jobResult(store.read, jobId), undefined, 2)}\n`)
  await world.stop()
})
