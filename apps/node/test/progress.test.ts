import { stripVTControlCharacters } from 'node:util'
import { expect, test, vi } from 'vitest'
import { frameLines, lineProgress } from '../src/progress.ts'
import { progressModel } from '../src/progress-model.ts'

const jobId = 'job'

test('a frame of a thousand shards stays within the terminal', () => {
  const { model, apply } = progressModel(() => 0)
  apply({ type: 'submitted', jobId, name: `a name that is far too long for any line ${'x'.repeat(200)}`, specCid: 'cid', node: 'node' })
  apply({ type: 'planned', jobId, shards: 1000 })
  for (let shard = 0; shard < 1000; shard++) apply({ type: 'shard', jobId, shard, state: shard % 3 === 0 ? 'running' : 'waiting' })
  for (const columns of [20, 80, 200]) {
    const lines = frameLines(model, 61_000, 8, columns).map(stripVTControlCharacters)
    expect(lines.length).toBeLessThanOrEqual(10)
    expect(lines.at(-1)).toContain('and 326 more')
    if (columns >= 80) for (const line of lines) expect(line.length).toBeLessThan(columns)
  }
  expect(stripVTControlCharacters(frameLines(model, 61_000, 8, 200)[0] ?? '')).toContain('334 running · 666 waiting')
})

test('plain lines of a thousand shards are some twenty, and each failure', () => {
  const lines: string[] = []
  const { show } = lineProgress(
    (line) => lines.push(line),
    () => 0,
  )
  show({ type: 'planned', jobId, shards: 1000 })
  for (let shard = 0; shard < 1000; shard++) {
    show({ type: 'shard', jobId, shard, state: 'running' })
    show(
      shard === 500
        ? { type: 'shard', jobId, shard, state: 'failed', failure: { code: 'trap', detail: '' } }
        : { type: 'shard', jobId, shard, state: 'completed' },
    )
  }
  expect(lines.length).toBeLessThan(25)
  expect(lines.filter((line) => line.startsWith('shard'))).toEqual(['shard 500: failed, trap (501/1000 shards)'])
})

test('a job that no node takes says how to learn why, once; one that runs does not', () => {
  vi.useFakeTimers()
  try {
    for (const state of ['waiting', 'running'] as const) {
      const lines: string[] = []
      using shown = lineProgress((line) => lines.push(line), Date.now)
      const { model, apply } = progressModel(Date.now)
      const events = [
        { type: 'planned', jobId, shards: 1 },
        { type: 'job', jobId, state: 'running' },
        { type: 'shard', jobId, shard: 0, state },
      ] as const
      for (const event of events) {
        shown.show(event)
        apply(event)
      }
      const frame = () => frameLines(model, Date.now(), 8, 80).map(stripVTControlCharacters).join('\n')
      vi.advanceTimersByTime(10_000)
      expect([lines.join(), frame()].filter((text) => text.includes('--plan'))).toEqual([])
      vi.advanceTimersByTime(60_000)
      expect(lines.filter((line) => line.includes('--plan'))).toHaveLength(state === 'waiting' ? 1 : 0)
      expect(frame().includes('--plan')).toBe(state === 'waiting')
    }
  } finally {
    vi.useRealTimers()
  }
})
