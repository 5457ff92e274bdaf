import type { Executor, RunExit } from '@skrei/executor'
import { expect, test } from 'vitest'
import { createEvidenceLog, mostEvidence } from '../src/compute/evidence.ts'
import { createSimulation } from '../src/simulation/index.ts'
import { quiet } from './invariants.ts'
import { noopJob } from './noop-job.ts'

const sample = (at: number, counters: Readonly<Record<string, number>>) => ({ type: 'evidence', at, counters }) as const
const read = (bytes: Uint8Array): { readonly at: number; readonly counters: Readonly<Record<string, number>> }[] =>
  new TextDecoder()
    .decode(bytes)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

test('evidence is told whole while it is short: a line a sample, in order', () => {
  const log = createEvidenceLog()
  expect(log.text()).toHaveLength(0)
  log.add(sample(100.4, { cpuMs: 1.5 }))
  log.add(sample(200, { cpuMs: 3, memory: 4096 }))
  expect(new TextDecoder().decode(log.text())).toBe('{"at":100,"counters":{"cpuMs":1.5}}\n{"at":200,"counters":{"cpuMs":3,"memory":4096}}\n')
})

test('however long a program runs it stays within its bound, covers the whole run evenly, and ends with the last sample', () => {
  const log = createEvidenceLog(4096)
  const samples = 100_000
  for (let index = 1; index <= samples; index++) log.add(sample(index * 100, { cpuMs: index }))
  const text = log.text()
  expect(text.length).toBeLessThanOrEqual(4096)
  const kept = read(text)
  expect(kept.length).toBeGreaterThan(20)
  expect([kept[0]?.at, kept.at(-1)?.at]).toEqual([100, samples * 100])
  const gaps = kept.slice(1, -1).map(({ at }, index) => at - (kept[index]?.at ?? 0))
  expect(Math.max(...gaps)).toBeLessThanOrEqual(2 * Math.min(...gaps))
})

test('samples that are absurdly large are left out', () => {
  const log = createEvidenceLog()
  log.add(sample(1, { ['x'.repeat(mostEvidence)]: 1 }))
  log.add(sample(2, { cpuMs: 1 }))
  expect(read(log.text()).map(({ at }) => at)).toEqual([2])
})

const counting = (exit: Omit<RunExit, 'type' | 'usage' | 'facts'>): Executor => ({
  engine: 'noop',
  inventory: () => Promise.resolve({ version: '1', devices: [] }),
  assess: () => Promise.resolve([]),
  run: async function* () {
    yield sample(100, { cpuMs: 50 })
    yield { type: 'exit', ...exit, usage: {}, facts: {} }
  },
  stop: () => Promise.resolve(),
  leftovers: async function* () {},
  remove: () => Promise.resolve(),
})

test.each([
  ['beside what the program wrote', { exit: 0 }, 'completed'],
  ['also where the program failed', { failure: { code: 'out-of-memory', detail: 'too much' } }, 'failed'],
  ['with the logs, where nothing is accepted', { failure: { code: 'node-fault', detail: 'broken' } }, 'failed'],
] as const)('evidence is in the result of its job, %s', async (_where, exit, state) => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 }, compute: { executors: [counting(exit)] } })
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit(noopJob({ retry: { attempts: 1 } }))
  expect(await world.finish(requester, jobId)).toBe(state)
  const result = world.contentOf(requester.scheduler.job(jobId)?.reference?.cid ?? '')
  const evidence = result?.['shards/0/logs/evidence'] ?? world.contentOf(result?.['shards/0'] ?? '')?.['evidence']
  expect(evidence).toBe('{"at":100,"counters":{"cpuMs":50}}\n')
  await world.clock.advance(7_200_000)
  expect([quiet(world), world.errors]).toEqual([[], []])
  await world.stop()
})
