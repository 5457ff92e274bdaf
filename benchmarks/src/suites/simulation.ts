import type { JobSpec } from '@skrei/job-spec'
import { createSimulation } from '@skrei/scheduler/simulation'
import { measure, peakRssMiB } from '../measure.ts'
import { type Suite, samplesOf } from '../suite.ts'

const gibibyte = 2 ** 30

/** Executions of a second each, a window of them at a time, whatever the number of nodes: what differs is only how many nodes there are. */
const job = (shards: number): JobSpec => ({
  apiVersion: 'skrei/v1',
  engine: { type: 'noop', duration: 1000, files: { '/out/a': 'x' } },
  outputs: [{ name: 'out', path: '/out' }],
  publisher: [{ type: 'ipfs' }],
  resources: { cpu: 100, memory: 2 ** 20, disk: 2 ** 20 },
  sharding: { count: shards },
})

const shardsAJob = 1000

interface Cost {
  readonly wallMs: number
  readonly cpuMs: number
  readonly messages: number
}

/** What one requester's jobs cost on a network of this size, once everybody is there. */
const costOf = async (nodes: number, executions: number, seed: number, note: (text: string) => void): Promise<Cost> => {
  const simulation = await createSimulation({
    nodes,
    seed,
    requesterOnly: true,
    record: false,
    link: { latency: 20 },
    capacity: { cpu: 64_000, memory: 64 * gibibyte, disk: 64 * gibibyte },
    settings: { lease: 30_000, heartbeat: 10_000, window: 200 },
  })
  const requester = simulation.node(0)
  note(`${nodes} nodes, of which the requester knows ${requester.scheduler.nodes().length}`)
  const run = async (count: number): Promise<void> => {
    const state = await simulation.finish(requester, await requester.scheduler.submit(job(count)), 86_400_000)
    if (state !== 'completed') throw new Error(`a job on ${nodes} nodes ended ${state}`)
  }
  await run(100)
  const before = simulation.network.counters().messages
  const measured = await measure(async () => {
    for (let done = 0; done < executions; done += shardsAJob) await run(Math.min(shardsAJob, executions - done))
  })
  const messages = simulation.network.counters().messages - before
  note(`${nodes} nodes: ${executions} executions in ${(measured.wallMs / 1000).toFixed(1)} s, ${(measured.cpuMs / executions).toFixed(2)} ms of CPU each`)
  await simulation.stop()
  return { ...measured, messages }
}

const figures = {
  executionsPerSecond: 'executions a second of wall time, on the largest network',
  messagesPerExecution10: 'messages an execution on 10 nodes',
  messagesPerExecution10000: 'messages an execution on the largest network (10,000 nodes with --full)',
  costRatio: 'CPU time an execution on the largest network, over that on 10 nodes',
  rssMiB: 'the most memory that the process held, MiB',
}

export const suite: Suite = {
  name: 'simulation',
  about: 'Whole networks in one process, in virtual time: what an execution costs, and whether that grows with the network.',
  figures,
  repeat: 1,
  run: async ({ full, smallest, repeat, note }) => {
    const largest = full ? 10_000 : smallest ? 20 : 1000
    const executions = full ? 100_000 : smallest ? 50 : 2000
    const few = Math.min(executions, 10_000)
    const rounds: Readonly<Record<keyof typeof figures, number>>[] = []
    for (let round = 1; round <= repeat; round++) {
      const small = await costOf(10, few, round, note)
      const large = await costOf(largest, executions, round, note)
      rounds.push({
        executionsPerSecond: (executions * 1000) / large.wallMs,
        messagesPerExecution10: small.messages / few,
        messagesPerExecution10000: large.messages / executions,
        costRatio: large.cpuMs / executions / (small.cpuMs / few),
        rssMiB: peakRssMiB(),
      })
    }
    return samplesOf(rounds)
  },
}
