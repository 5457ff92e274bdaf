// Three nodes in one program. One of them accepts a job of nine shards; all three bid for them; the program reads the results.
import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { noopExecutor } from '@skrei/executor/noop'
import { readJob } from '@skrei/job-spec'
import { checkSignature, createIdentity } from '@skrei/protocol'
import { createScheduler, type Scheduler } from '@skrei/scheduler'
import { memoryStateStore } from '@skrei/state-store/memory'
import { inlineSource } from '@skrei/storage/inline'
import { localPublisher, localWorkspace } from '@skrei/storage/local'
import { memoryNetwork } from '@skrei/transport/memory'
import { systemClock } from '@skrei/transport/system-clock'

const job = readJob(
  `
apiVersion: skrei/v1
name: greetings
engine: { type: noop, duration: 200ms, stdout: "hello\\n" }
resources: { cpu: 1, memory: 64Mi, disk: 1Mi }
sharding: { count: 9 }
publisher: { type: local }
`,
  { file: 'greetings.yaml' },
)
if (!job.ok) throw new Error(job.problems.map(({ message }) => message).join('\n'))

/** Milliseconds; a node announces itself every third of it. The default is meant for larger networks. */
const announcementTtl = 1500
const folder = await mkdtemp(join(tmpdir(), 'skrei-example-'))
const clock = systemClock()
const network = memoryNetwork({ clock, seed: 1, latency: 5 })

/** A node with room for two executions at a time. It is nothing but its parts: hand in others, and it is another node. */
const startNode = async (name: string): Promise<Scheduler> => {
  const identity = createIdentity()
  const node = createScheduler({
    network: 'example',
    identity,
    check: checkSignature,
    clock,
    random: Math.random,
    jobId: randomUUID,
    store: memoryStateStore(),
    transport: network.join(identity.nodeId),
    workspace: localWorkspace({ directory: join(folder, name) }),
    sources: [inlineSource()],
    publishers: [localPublisher({ directory: join(folder, 'published') })],
    compute: { executors: [noopExecutor()], capacity: { cpu: 2000, memory: 2 ** 30, disk: 2 ** 30 }, labels: { name } },
    settings: { announcementTtl },
  })
  await node.start()
  return node
}

const names = ['cod', 'haddock', 'saithe']
const nodes = await Promise.all(names.map(startNode))
const [requester] = nodes
if (requester === undefined) throw new Error('no node')
try {
  // Wait until all know of each other.
  while (nodes.some((node) => node.nodes().length < nodes.length)) await new Promise((resolve) => clock.at(clock.now() + 10, () => resolve(undefined)))

  const jobId = await requester.submit(job.spec)
  const view = await requester.finished(jobId)
  console.log(`${view.name}: ${view.state}, ${view.shards?.completed} of ${view.shards?.total} shards`)

  const result = requester.result(jobId)
  for (const [index, node] of nodes.entries()) {
    const own = result?.shards.filter((shard) => shard.node === node.nodeId) ?? []
    console.log(`${names[index]?.padEnd(8)} ran ${own.length} shards`)
  }
  console.log(`shard 0 said: ${(await readFile(join(view.reference?.path ?? '', 'shards/0/stdout'), 'utf8')).trim()}`)
} finally {
  for (const node of nodes) await node.stop()
  await rm(folder, { recursive: true })
}
