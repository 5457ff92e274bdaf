import { randomUUID } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { noopExecutor } from '@skrei/executor/noop'
import type { JobSpec } from '@skrei/job-spec'
import { checkSignature, createIdentity } from '@skrei/protocol'
import { createScheduler, type Scheduler } from '@skrei/scheduler'
import type { StateStore } from '@skrei/state-store'
import { sqliteStateStore } from '@skrei/state-store/sqlite'
import { inlineSource } from '@skrei/storage/inline'
import { localWorkspace } from '@skrei/storage/local'
import { type MemoryNetwork, memoryNetwork } from '@skrei/transport/memory'
import { systemClock } from '@skrei/transport/system-clock'
import { measure, peakRssMiB } from '../measure.ts'
import { mean, quantile } from '../spread.ts'
import { type Suite, samplesOf } from '../suite.ts'
import { withTemporaryFolder } from '../temporary.ts'

const nodeCount = 3
const concurrency = 10
const mebibyte = 2 ** 20

const job: JobSpec = {
  apiVersion: 'skrei/v1',
  engine: { type: 'noop' },
  resources: { cpu: 100, memory: mebibyte, disk: mebibyte },
  publisher: [{ type: 'none' }],
}

const clock = systemClock()

/** A whole node: its own key, its own store on disk with a durable commit for every turn. */
const startNode = async (
  network: MemoryNetwork,
  folder: string,
): Promise<Scheduler & { readonly commits: () => number; readonly close: () => Promise<void> }> => {
  await mkdir(folder)
  const identity = createIdentity()
  const sqlite = sqliteStateStore({ path: join(folder, 'state.sqlite') })
  let commits = 0
  const store: StateStore = {
    ...sqlite,
    transact: (work) => {
      commits++
      return sqlite.transact(work)
    },
  }
  const transport = network.join(identity.nodeId)
  const scheduler = createScheduler({
    network: 'benchmark',
    identity,
    check: checkSignature,
    clock,
    random: Math.random,
    jobId: randomUUID,
    store,
    transport,
    workspace: localWorkspace({ directory: join(folder, 'workspace') }),
    sources: [inlineSource()],
    publishers: [],
    compute: { executors: [noopExecutor()], capacity: { cpu: 16_000, memory: 2 ** 34, disk: 2 ** 34 } },
    settings: { announcementTtl: 3000 },
  })
  await scheduler.start()
  const close = async (): Promise<void> => {
    await scheduler.stop()
    await transport[Symbol.asyncDispose]()
    store[Symbol.dispose]()
  }
  return { ...scheduler, commits: () => commits, close }
}

/** Keeps `concurrency` jobs under way until all are done. Returns each job's milliseconds from its submission to its end. */
const runJobs = async (requester: Scheduler, count: number): Promise<readonly number[]> => {
  const durations: number[] = []
  let started = 0
  const worker = async (): Promise<void> => {
    while (started < count) {
      started++
      const began = performance.now()
      const { state, failure } = await requester.finished(await requester.submit(job))
      if (state !== 'completed') throw new Error(`a job ended ${state}: ${failure?.code} ${failure?.detail}`)
      durations.push(performance.now() - began)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
  return durations
}

const once = (jobs: number) =>
  withTemporaryFolder(async (folder) => {
    const network = memoryNetwork({ clock, seed: 1 })
    const nodes = await Promise.all(Array.from({ length: nodeCount }, (_, index) => startNode(network, join(folder, String(index)))))
    try {
      const [requester] = nodes
      if (requester === undefined) throw new Error('no node')
      while (nodes.some((node) => node.nodes().length < nodeCount)) await new Promise((resolve) => setTimeout(resolve, 10))
      await runJobs(requester, Math.min(200, jobs))
      const commits = (): number => nodes.reduce((sum, node) => sum + node.commits(), 0)
      const before = commits()
      const measured = await measure(() => runJobs(requester, jobs))
      return { ...measured, commits: commits() - before }
    } finally {
      for (const node of nodes) await node.close()
    }
  })

const figures = {
  cpuMsPerJob: 'ms of CPU a job, all three nodes together',
  jobsPerSecond: 'jobs a second of wall time',
  commitsPerJob: 'durable commits a job, all three nodes together',
  meanMs: 'ms from submission to the end, mean',
  p50Ms: 'ms from submission to the end, median',
  p99Ms: 'ms from submission to the end, 99th percentile',
  rssMiB: 'the most memory that the process held so far, MiB',
}

export const suite: Suite = {
  name: 'kernel',
  about: 'Noop jobs, ten at a time, on three nodes over the memory transport, each with its SQLite store on disk: what a job costs that computes nothing.',
  figures,
  run: async ({ full, smallest, repeat, note }) => {
    const jobs = full ? 10_000 : smallest ? 30 : 1000
    const rounds: Readonly<Record<keyof typeof figures, number>>[] = []
    for (let round = 1; round <= repeat; round++) {
      const { value: durations, wallMs, cpuMs, commits } = await once(jobs)
      note(`round ${round} of ${repeat}: ${jobs} jobs in ${(wallMs / 1000).toFixed(1)} s`)
      rounds.push({
        cpuMsPerJob: cpuMs / jobs,
        jobsPerSecond: (jobs * 1000) / wallMs,
        commitsPerJob: commits / jobs,
        meanMs: mean(durations),
        p50Ms: quantile(durations, 0.5),
        p99Ms: quantile(durations, 0.99),
        rssMiB: peakRssMiB(),
      })
    }
    return samplesOf(rounds)
  },
}
