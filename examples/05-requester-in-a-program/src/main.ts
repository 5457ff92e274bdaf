// A program that is a requester itself: it keeps its jobs in a file of its own and submits them over libp2p and TCP. It starts two compute nodes beside it, which would be other people's machines.
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { noopExecutor } from '@skrei/executor/noop'
import { readJob } from '@skrei/job-spec'
import { checkSignature, identityFrom } from '@skrei/protocol'
import { createScheduler, type Scheduler, type SchedulerOptions } from '@skrei/scheduler'
import { memoryStateStore } from '@skrei/state-store/memory'
import { sqliteStateStore } from '@skrei/state-store/sqlite'
import { inlineSource } from '@skrei/storage/inline'
import { localWorkspace } from '@skrei/storage/local'
import { type IpfsStorage, ipfsStorage } from '@skrei/storage-ipfs'
import { systemClock } from '@skrei/transport/system-clock'
import { type Libp2pTransport, libp2pTransport } from '@skrei/transport-libp2p'

const job = readJob(
  `
apiVersion: skrei/v1
name: reports
engine: { type: noop, duration: 300ms, stdout: "report written\\n" }
resources: { cpu: 1, memory: 64Mi, disk: 1Mi }
sharding: { count: 8 }
publisher: { type: ipfs }
`,
  { file: 'reports.yaml' },
)
if (!job.ok) throw new Error(job.problems.map(({ message }) => message).join('\n'))

const folder = await mkdtemp(join(tmpdir(), 'skrei-example-'))
const clock = systemClock()
/** Milliseconds; a node announces itself every third of it. The default is meant for larger networks. */
const announcementTtl = 1500

interface Node extends AsyncDisposable {
  readonly scheduler: Scheduler
  readonly transport: Libp2pTransport
  readonly ipfs: IpfsStorage
}

/** What all nodes of this program have in common; `own` is what makes one a requester or a compute node. */
const startNode = async (name: string, key: Uint8Array, peers: readonly string[], own: Pick<SchedulerOptions, 'store' | 'compute'>): Promise<Node> => {
  const transport = await libp2pTransport({ privateKey: key, listen: ['/ip4/127.0.0.1/tcp/0'], peers, clock })
  await transport.start()
  // Blocks of results go over the connections of the jobs.
  const ipfs = ipfsStorage({ directory: join(folder, name, 'blocks'), libp2p: transport.libp2p })
  await ipfs.start()
  const scheduler = createScheduler({
    network: 'example',
    identity: identityFrom(key),
    check: checkSignature,
    clock,
    random: Math.random,
    jobId: randomUUID,
    transport,
    sources: [inlineSource()],
    publishers: [ipfs.publisher],
    workspace: localWorkspace({ directory: join(folder, name, 'workspace') }),
    settings: { announcementTtl },
    ...own,
  })
  await scheduler.start()
  return {
    scheduler,
    transport,
    ipfs,
    [Symbol.asyncDispose]: async () => {
      await scheduler.stop()
      await ipfs[Symbol.asyncDispose]()
      await transport[Symbol.asyncDispose]()
    },
  }
}

/** Somebody else's machine: room for two executions at a time. */
const startCompute = (name: string): Promise<Node> =>
  startNode(name, randomBytes(32), [], {
    store: memoryStateStore(),
    compute: { executors: [noopExecutor()], capacity: { cpu: 2000, memory: 2 ** 30, disk: 2 ** 30 }, labels: { name } },
  })

/** This program's own part: no engines, nothing runs here. Its key and its file make it the same requester after a restart. */
const key = randomBytes(32)
const startRequester = async (peers: readonly string[]): Promise<Node> => {
  const store = sqliteStateStore({ path: join(folder, 'jobs.sqlite') })
  const node = await startNode('requester', key, peers, { store })
  return {
    ...node,
    [Symbol.asyncDispose]: async () => {
      await node[Symbol.asyncDispose]()
      store[Symbol.dispose]()
    },
  }
}

/** Resolves with the first shard that the history has as completed. */
const firstCompleted = async (scheduler: Scheduler, jobId: string): Promise<number | undefined> => {
  for await (const item of scheduler.subscribe(jobId)) if (item.kind === 'shard' && 'to' in item && item.to === 'completed') return item.shard
  return undefined
}

try {
  await using cod = await startCompute('cod')
  await using haddock = await startCompute('haddock')
  const peers = [cod, haddock].flatMap(({ transport }) => transport.addresses())

  let jobId: string
  {
    await using requester = await startRequester(peers)
    // The requester runs nothing, so it knows of two nodes when both have announced themselves.
    while (requester.scheduler.nodes().length < 2) await new Promise((resolve) => clock.at(clock.now() + 10, () => resolve(undefined)))
    jobId = await requester.scheduler.submit(job.spec)
    await firstCompleted(requester.scheduler, jobId)
    console.log('submitted, one shard is done: the requester stops')
  }
  {
    await using requester = await startRequester(peers)
    const { state } = requester.scheduler.job(jobId) ?? {}
    console.log(`the requester starts again and finds its job ${state}`)
    const view = await requester.scheduler.finished(jobId)
    console.log(`${view.name}: ${view.state}, ${view.shards?.completed} of ${view.shards?.total} shards`)
    const shards = requester.scheduler.result(jobId)?.shards ?? []
    for (const [name, node] of Object.entries({ cod, haddock }))
      console.log(`${name.padEnd(8)} ran ${shards.filter((shard) => shard.node === node.scheduler.nodeId).length} shards`)
    if (view.reference === undefined) throw new Error('there is no result')
    for await (const file of requester.ipfs.publisher.read(view.reference, { path: 'shards/0/stdout' }))
      for await (const chunk of file.content()) console.log(`shard 0 said: ${Buffer.from(chunk).toString().trim()}`)
  }
} finally {
  await rm(folder, { recursive: true })
}
