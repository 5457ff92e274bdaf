import { memoryStateStore } from '@skrei/state-store/memory'
import { memoryNetwork, virtualClock } from '@skrei/transport/memory'
import { expect, test } from 'vitest'
import { createScheduler, type SchedulerOptions } from '../src/index.ts'
import { memoryPublisher, memoryWorkspace, numberedSource } from '../src/simulation/fakes.ts'
import { noopJob } from './noop-job.ts'

const valid = (change: object = {}): SchedulerOptions => {
  const clock = virtualClock()
  const files = new Map<string, Record<string, string>>()
  return {
    network: 'test',
    identity: { nodeId: 'a', sign: () => new Uint8Array(64) },
    check: () => true,
    clock,
    random: () => 0.5,
    jobId: () => 'job',
    store: memoryStateStore(),
    transport: memoryNetwork({ clock, seed: 1 }).join('a'),
    workspace: memoryWorkspace(files),
    sources: [numberedSource({})],
    publishers: [memoryPublisher('ipfs', files, new Map(), {}, () => {})],
    compute: { executors: [], capacity: { cpu: 1000, memory: 2 ** 30, disk: 2 ** 30 } },
    ...change,
  }
}

const ranker = { name: 'mine', weight: 1, score: () => 1 }
const capacity = { cpu: 1000, memory: 2 ** 30, disk: 2 ** 30 }

test('a scheduler is made of what it is told to be made of', () => {
  expect(() => createScheduler(valid({ settings: { lease: 6000, heartbeat: 2000, queue: 0 }, rankers: [ranker] }))).not.toThrow()
})

test.each<[string, string, object]>([
  ['option-unknown', 'setings', { setings: {} }],
  ['option-unknown', 'settings.leese', { settings: { leese: 1 } }],
  ['option-invalid', 'settings.lease', { settings: { lease: Number.NaN } }],
  ['option-invalid', 'settings.lease', { settings: { lease: '30s' } }],
  ['option-missing', 'settings.lease', { settings: { lease: undefined } }],
  ['option-invalid', 'settings.publish', { settings: { publish: -1 } }],
  ['option-invalid', 'settings.publish', { settings: { publish: Number.POSITIVE_INFINITY } }],
  ['option-invalid', 'settings.window', { settings: { window: 1.5 } }],
  ['option-invalid', 'settings.assessing', { settings: { assessing: 1.5 } }],
  ['option-invalid', 'settings.keepDeclined', { settings: { keepDeclined: 1.5 } }],
  ['option-missing', 'transport.peer', { transport: { ...valid().transport, peer: undefined } }],
  ['option-missing', 'transport.peerCount', { transport: { ...valid().transport, peerCount: undefined } }],
  ['option-missing', 'workspace.toPublish', { workspace: { ...valid().workspace, toPublish: undefined } }],
  ['option-invalid', 'settings.drift', { settings: { drift: 1 } }],
  ['option-invalid', 'settings.heartbeat', { settings: { lease: 8000 } }],
  ['option-missing', 'network', { network: undefined }],
  ['option-missing', 'clock.elapsed', { clock: { now: () => 0 } }],
  ['option-missing', 'check', { check: undefined }],
  ['option-invalid', 'store', { store: 'sqlite' }],
  ['option-invalid', 'sources', { sources: {} }],
  ['option-missing', 'publishers[0].publish', { publishers: [{ type: 'x' }] }],
  ['option-missing', 'compute.capacity.disk', { compute: { executors: [], capacity: { cpu: 1, memory: 1 } } }],
  ['option-invalid', 'compute.capacity.cpu', { compute: { executors: [], capacity: { ...capacity, cpu: -1 } } }],
  ['option-invalid', 'compute.overSubscription.cpu', { compute: { executors: [], capacity, overSubscription: { cpu: 0.5 } } }],
  ['option-unknown', 'compute.executor', { compute: { executor: [], capacity } }],
  ['option-invalid', 'compute.labels.region', { compute: { executors: [], capacity, labels: { region: 1 } } }],
  ['option-missing', 'rankers[0].score', { rankers: [{ name: 'mine', weight: 1 }] }],
  ['option-invalid', 'rankers[0]', { rankers: ['mine'] }],
  ['option-missing', 'rankers[0].score', { rankers: [() => 1] }],
  ['option-invalid', 'rankers[0].weight', { rankers: [{ ...ranker, weight: Number.NaN }] }],
  ['option-missing', 'logger.debug', { logger: {} }],
])('what a scheduler cannot be made of is refused when it is made: %s %s', (code, path, change) => {
  expect(() => createScheduler(valid(change))).toThrow(expect.objectContaining({ name: 'OptionError', code, path }))
})

test('a misspelt setting is told the one that was meant', () => {
  expect(() => createScheduler(valid({ settings: { heartbeet: 1 } }))).toThrow('did you mean settings.heartbeat?')
})

test.each([undefined, 7, '', 'a b', 'x'.repeat(300)])('a job id that is none is refused when a job is submitted: %o', async (id) => {
  const scheduler = createScheduler(valid({ jobId: () => id }))
  await scheduler.start()
  await expect(scheduler.submit(noopJob())).rejects.toMatchObject({ code: 'option-invalid', path: 'jobId' })
  await scheduler.stop()
})

test('a job id that was given before does not stand for another job', async () => {
  const scheduler = createScheduler(valid())
  await scheduler.start()
  // Two in one pass, and one later.
  const [first, second] = await Promise.allSettled([scheduler.submit(noopJob({ name: 'first' })), scheduler.submit(noopJob({ name: 'second' }))])
  expect(first).toEqual({ status: 'fulfilled', value: 'job' })
  expect(second).toMatchObject({ status: 'rejected', reason: { code: 'option-invalid', path: 'jobId' } })
  await expect(scheduler.submit(noopJob())).rejects.toMatchObject({ code: 'option-invalid', path: 'jobId' })
  expect(scheduler.jobs({ limit: 9 }).map(({ name }) => name)).toEqual(['first'])
  await scheduler.stop()
})
