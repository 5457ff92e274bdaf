import type { Device, JobSpec } from '@skrei/job-spec'
import { type Interference, type SimulationOptions, seededRandom } from '../src/simulation/index.ts'
import { noopJob } from './noop-job.ts'

/** What a seed comes to: the network, its faults, and what its programs and engines get wrong. */
export interface Course {
  readonly options: SimulationOptions
  /** So many of the first nodes submit jobs. */
  readonly requesters: number
  readonly jobs: number
  readonly steps: number
  /** Nothing goes wrong: then nothing may be wasted either. */
  readonly isCalm: boolean
  /** Clocks run apart, and are set. */
  readonly clocksAreWrong: boolean
  /** How likely it is in a step that a node crashes; and, of restarts, that its store was set back or lost. */
  readonly crashes: number
  readonly setBacks: number
  /** Requesters too may forget. */
  readonly anybodyForgets: boolean
  readonly partitions: number
  readonly cancels: number
  /** What a publish, a run, a fetch does besides what it should: shares of all. */
  readonly publish: { readonly slow: number; readonly failing: number; readonly wrong: number }
  readonly engine: { readonly failing: number; readonly slow: number }
  /** Programs write something else each time. */
  readonly nondeterministic: boolean
}

/** Short, so that jobs outlive many leases and every wait has an end within the seed. */
const settings = {
  lease: 3000,
  heartbeat: 1000,
  publish: 6000,
  match: 4000,
  stop: 3000,
  stage: 5000,
  retention: 60_000,
  bidTtl: 3000,
  bypasses: 3,
  retryAfter: 500,
}
/** All has ended by then: what is kept the longest is an ask in the outbox, and outputs. */
export const longest = 300_000

const devices: readonly Device[] = [
  { id: 'g0', kind: 'gpu', vendor: 'acme' },
  { id: 'g1', kind: 'gpu', vendor: 'acme' },
]

/** Every eighth seed is calm. Of the others, each draws which faults it has: those that have all are no harder than those that have few, only different. */
export const drawCourse = (seed: number): Course => {
  const random = seededRandom(seed)
  const rates = seededRandom(seed * 7919)
  const isCalm = seed % 8 === 0
  const clocksAreWrong = !isCalm && seed % 4 === 2
  const some = (most: number, chance = 0.6): number => (isCalm || random() > chance ? 0 : random() * most)
  const requesters = 1 + Math.floor(random() * 3)
  const nodes = requesters + 1 + Math.floor(random() * 3)
  const options: SimulationOptions = {
    nodes,
    seed,
    ...(clocksAreWrong && { rate: () => 0.91 + rates() * 0.18 }),
    link: { latency: 1 + random() * 20, jitter: isCalm ? 0 : random() * 150, loss: some(0.3), duplication: some(0.3), reordering: some(0.5) },
    capacity: { cpu: 2000 },
    devices,
    settings,
    requesterOnly: random() < 0.3,
  }
  return {
    options,
    requesters,
    jobs: 1 + Math.floor(random() * 4),
    steps: 20 + Math.floor(random() * 12),
    isCalm,
    clocksAreWrong,
    crashes: some(0.25, 0.8),
    // A store from before the time of day was set says an hour too much or too little: its deadlines come as late.
    setBacks: clocksAreWrong ? 0 : some(0.5),
    anybodyForgets: random() < 0.3,
    partitions: some(0.25, 0.8),
    cancels: random() < 0.4 ? 0.08 : 0,
    publish: { slow: some(0.6), failing: some(0.3), wrong: some(0.3) },
    engine: { failing: some(0.15), slow: some(0.4) },
    nondeterministic: random() < 0.5,
  }
}

/** A job of a few shards that fits into a node, mostly not many times at once. */
export const drawJob = (random: () => number): JobSpec =>
  noopJob({
    sharding: { count: 1 + Math.floor(random() * 4) },
    engine: {
      type: 'noop',
      // Every second longer than a lease, up to five of them.
      duration: Math.floor(random() < 0.5 ? 100 + random() * 2500 : 3000 + random() * 12_000),
      files: { '/out/a': 'x' },
      stdout: 'said',
      ...(random() < 0.1 && { exit: 2 }),
    },
    resources: { cpu: [300, 700, 2000][Math.floor(random() * 3)] ?? 300, gpu: { count: [0, 0, 1, 2][Math.floor(random() * 4)] ?? 0 } },
    partial: { policy: 'best-effort', tolerate: 4 },
    retry: { attempts: 15, backoff: 200, on: ['node-lost', 'node-restarted', 'node-fault', 'publish-failed', 'result-mismatch', 'source-timeout'] },
    timeouts: { queue: 120_000, execution: 30_000, total: 1_200_000 },
  })

/** What may be in the way of what nodes do, from a source of randomness of its own: it is asked in the order of what happens. */
export const interfere = (course: Course, wait: (ms: number, signal?: AbortSignal) => Promise<void>): Interference => {
  const random = seededRandom((course.options.seed ?? 1) + 5000)
  const { publish, engine } = course
  return {
    publish: async (_id, signal) => {
      // Some take longer than there is time.
      if (random() < publish.slow) await wait(random() * settings.publish * 1.8, signal)
      if (random() < publish.failing) throw new Error('no room on the server')
    },
    alter: (_id, content) => (random() < publish.wrong ? { ...content, 'outputs/out/a': `wrong ${random()}` } : content),
    fetch: async (signal) => {
      if (random() < publish.slow / 2) await wait(random() * settings.match * 1.5, signal)
      if (random() < publish.failing / 2) throw new Error('not found')
    },
    stage: async () => {
      if (random() < engine.slow) await wait(random() * 800)
    },
    start: async () => {
      if (random() < engine.slow) await wait(random() * 1000)
      if (random() < engine.failing) throw new Error('the engine does not answer')
    },
    stop: async () => {
      if (random() < engine.slow) await wait(random() * 1000)
      if (random() < engine.failing) throw new Error('the engine does not answer')
    },
    ...(course.nondeterministic && { outputs: (_execution, files) => ({ ...files, '/out/b': String(random()) }) }),
  }
}
