import { type JobSpec, readJob } from '@skrei/job-spec'
import { createSimulation } from '@skrei/scheduler/simulation'
import { createTimeline } from './timeline.ts'

/** How many nodes, and from which seed: the same two give the same timeline, to the line. */
const [nodes = 1000, seed = 1] = process.argv.slice(2).map(Number)
if (!Number.isInteger(nodes) || nodes < 10 || !Number.isInteger(seed)) {
  console.error('usage: pnpm start [NODES, 10 or more] [SEED]')
  process.exit(2)
}

const job = (): JobSpec => {
  const read = readJob(
    `
apiVersion: skrei/v1
name: catch-by-haul
engine: { type: noop, duration: 20s, files: { /outputs/catch.txt: "cod" } }
outputs: [{ name: catch, path: /outputs }]
publisher: { type: ipfs }
resources: { cpu: 2 }
sharding: { count: 200 }
retry: { attempts: 5 }
`,
    { file: 'job.yaml' },
  )
  if (!read.ok) throw new Error(read.problems.map(({ message }) => message).join('\n'))
  return read.spec
}

// Virtual time: the job takes a minute there and seconds here. Node 0 only asks, the others compute.
const simulation = await createSimulation({
  nodes,
  seed,
  requesterOnly: true,
  capacity: { cpu: 4000 },
  link: { latency: 20, jitter: 30, loss: 0.01 },
  settings: { lease: 15_000, heartbeat: 5000, window: 200 },
  record: false,
})
const requester = simulation.node(0).scheduler
const timeline = createTimeline(requester, simulation.clock)
console.log(`${nodes} nodes, seed ${seed}; ${requester.nodes().length} of them are known to the requester`)

const jobId = await requester.submit(job())
await simulation.clock.advance(10_000)

// The fault: of the nodes that run something, every fifth loses its power, and stays away.
const busy = simulation.nodes.filter(({ running }) => running.size > 0)
const victims = busy.filter((_, index) => index % 5 === 0)
const lost = victims.reduce((sum, { running }) => sum + running.size, 0)
for (const victim of victims) victim.crash()
timeline.mark(`${victims.length} of ${busy.length} busy nodes lose their power, with ${lost} executions`)

const state = await simulation.finish(simulation.node(0), jobId)
timeline.end()
const result = requester.result(jobId)
const attempts = result?.shards.reduce((sum, { executions }) => sum + executions.length, 0)
console.log(`${state}: ${result?.counts?.completed} of ${result?.counts?.total} shards, ${attempts} executions, each result recorded once`)
await simulation.stop()
