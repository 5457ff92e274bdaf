// A simulated network in a process of its own: starts, and then runs as many executions as its parent asks for, again and again, until the parent lets go of it.
// `network-process.ts <nodes> <seed>`
import type { JobSpec } from '@skrei/job-spec'
import { createSimulation } from '@skrei/scheduler/simulation'
import { measure, peakRssMiB } from '../measure.ts'
import type { NetworkCost } from './network.ts'

const gibibyte = 2 ** 30
const longest = 86_400_000
const shardsAJob = 1000

/** Executions of a second each, as many at a time as a requester has open that is told nothing else, whatever the number of nodes: what differs is only how many nodes there are. */
const job = (shards: number): JobSpec => ({
  apiVersion: 'skrei/v1',
  engine: { type: 'noop', duration: 1000, files: { '/out/a': 'x' } },
  outputs: [{ name: 'out', path: '/out' }],
  publisher: [{ type: 'ipfs' }],
  resources: { cpu: 100, memory: 2 ** 20, disk: 2 ** 20 },
  sharding: { count: shards },
})

const [, , nodes, seed] = process.argv
const simulation = await createSimulation({
  nodes: Number(nodes),
  seed: Number(seed),
  requesterOnly: true,
  record: false,
  link: { latency: 20 },
  capacity: { cpu: 64_000, memory: 64 * gibibyte, disk: 64 * gibibyte },
  settings: { lease: 30_000, heartbeat: 10_000 },
})
const requester = simulation.node(0)

const run = async (executions: number): Promise<NetworkCost> => {
  const before = simulation.network.counters().messages
  const { wallMs, cpuMs } = await measure(async () => {
    for (let done = 0; done < executions; done += shardsAJob) {
      const state = await simulation.finish(requester, await requester.scheduler.submit(job(Math.min(shardsAJob, executions - done))), longest)
      if (state !== 'completed') throw new Error(`a job on ${nodes} nodes ended ${state}`)
    }
  })
  const messages = simulation.network.counters().messages - before
  return { executions, wallMs, cpuMs, messages, known: requester.scheduler.nodes().length, rssMiB: peakRssMiB() }
}

process.on('message', (executions: number) => {
  void run(executions).then((cost) => process.send?.(cost))
})
process.send?.('started')
