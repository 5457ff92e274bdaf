import { stripVTControlCharacters } from 'node:util'
import type { Refusal } from '@skrei/job-spec'
import { expect, test } from 'vitest'
import { jobEvents } from '../src/job-events.ts'
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

test('why a shard waits is told once, and again where it is another reason', () => {
  const lines: string[] = []
  const { show } = lineProgress(
    (line) => lines.push(line),
    () => 0,
  )
  const tell = jobEvents(jobId, show)
  const waits = (...refusals: Refusal[]) => tell({ type: 'changed', kind: 'shard', shard: 0, from: 'placing', to: 'waiting', refusals })
  tell({ type: 'changed', kind: 'job', to: 'running', shards: 1 })
  tell({ type: 'changed', kind: 'shard', shard: 0, to: 'placing' })
  const away = { code: 'assess-failed', detail: 'the registry\ndoes not answer' } as const
  for (let round = 0; round < 3; round++) waits(away)
  // That all are busy is why shards wait mostly.
  waits({ code: 'busy', detail: '' })
  waits(away, { code: 'draining', detail: 'about to stop' })
  expect(lines).toEqual([
    'job: running, 1 shard',
    'shard 0: waiting, assess-failed: the registry does not answer',
    'shard 0: waiting, assess-failed: the registry does not answer; draining: about to stop',
  ])
})
