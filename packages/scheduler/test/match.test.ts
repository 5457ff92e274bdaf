import type { Publisher } from '@skrei/storage'
import { expect, test } from 'vitest'
import { createFairPool } from '../src/fair-pool.ts'
import { match, mostPublished } from '../src/requester/match.ts'
import { memoryWorkspace } from '../src/simulation/fakes.ts'
import { upTo } from './asker.ts'

const entry = {
  outboxId: 1,
  kind: 'execution',
  id: 'e',
  type: 'match',
  lane: 'execution e',
  data: { reference: { type: 'ipfs', cid: 'c' }, digest: 'd'.repeat(64), exit: 0 },
}

test('a publication that never ends is given up at what its task could leave, as a mismatch, and nothing of it stays', async () => {
  const files = new Map<string, Record<string, string>>()
  let fetched = 0
  let closed = false
  const endless = {
    type: 'ipfs',
    fetch: async function* () {
      try {
        for (;;) {
          fetched += 100_000
          yield fetched
        }
      } finally {
        closed = true
      }
    },
  } as unknown as Publisher
  const most = mostPublished({ resources: { cpu: 1, memory: 1, disk: 10_000_000, gpu: { count: 0 } }, limits: { stdout: 1000, stderr: 1000, files: 1 } })
  const { signal } = new AbortController()
  const event = await match(entry, new Map([['ipfs', endless]]), memoryWorkspace(files), most, { signal })
  expect(event).toMatchObject({ type: 'mismatched', failure: { code: 'result-mismatch' } })
  expect(fetched).toBeGreaterThan(10_002_000)
  expect(fetched).toBeLessThan(12_500_000)
  expect([closed, files.size]).toEqual([true, 0])
})

test('work of one owner holds up no other, and who no longer waits for it takes no place', async () => {
  const pool = createFairPool({ atOnce: 3, ofOne: 2 })
  const begun: string[] = []
  const ends: (() => void)[] = []
  const work = (owner: string, signal: AbortSignal = new AbortController().signal): Promise<void> =>
    pool.run(
      owner,
      () => {
        begun.push(owner)
        return new Promise<void>((resolve) => ends.push(resolve))
      },
      { signal },
    )
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  const all = upTo(4).map(() => work('a'))
  const gone = new AbortController()
  const given = work('b', gone.signal)
  const waiting = work('b', gone.signal)
  all.push(work('c'))
  await settle()
  expect(begun).toEqual(['a', 'a', 'b'])
  gone.abort(new Error('not wanted'))
  await expect(waiting).rejects.toThrow('not wanted')
  ends[2]?.()
  await given
  await settle()
  expect(begun).toEqual(['a', 'a', 'b', 'c'])
  while (begun.length > 0 && ends.length > 0) {
    for (const end of ends.splice(0)) end()
    await settle()
  }
  await Promise.all(all)
  expect(begun).toEqual(['a', 'a', 'b', 'c', 'a', 'a'])
  await expect(work('a', gone.signal)).rejects.toThrow('not wanted')
})
