import { join } from 'node:path'
import { noopExecutor } from '@skrei/executor/noop'
import type { JobSpec } from '@skrei/job-spec'
import type { Scheduler } from '@skrei/scheduler'
import { type MemoryNetwork, memoryNetwork } from '@skrei/transport/memory'
import { clock, type DiskNode, diskNode } from '../disk-node.ts'
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

const startNode = async (network: MemoryNetwork, folder: string): Promise<DiskNode> => {
  const node = diskNode({
    folder,
    network,
    compute: { executors: [noopExecutor()], capacity: { cpu: 16_000, memory: 2 ** 34, disk: 2 ** 34 } },
    settings: { announcementTtl: 3000 },
  })
  await node.scheduler.start()
  return node
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
      const requester = nodes[0]?.scheduler
      if (requester === undefined) throw new Error('no node')
      while (nodes.some((node) => node.scheduler.nodes().length < nodeCount)) await new Promise((resolve) => setTimeout(resolve, 10))
      await runJobs(requester, Math.min(200, jobs))
      const commits = (): number => nodes.reduce((sum, node) => sum + node.commits(), 0)
      const before = commits()
      const measured = await measure(() => runJobs(requester, jobs))
      return { ...measured, commits: commits() - before }
    } finally {
      for (const node of nodes) await node[Symbol.asyncDispose]()
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
