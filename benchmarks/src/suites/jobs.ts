import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { buildProgram } from '../jobs/build-program.ts'
import { cpuMs, type NodeProcess, rssMiB, startNode } from '../jobs/node-process.ts'
import { bytesBetween } from '../jobs/traffic.ts'
import { mean, quantile } from '../spread.ts'
import { type Suite, samplesOf } from '../suite.ts'
import { withTemporaryFolder } from '../temporary.ts'

const concurrency = 10
const computeNodes = 3
const clients = 500

const figures = {
  jobsPerSecond: 'noop jobs a second, ten at a time, through the API of one requester, run on three compute processes',
  meanMs: 'ms from the request to the answer that the job is completed, mean',
  p99Ms: 'the same, 99th percentile',
  cpuMsPerJob: 'ms of CPU a job, the four processes together',
  bytesPerJob: 'bytes of TCP between the four processes a job, both directions',
  oneClientMs: 'ms from the request to the answer that the job is completed, one job after the other, median',
  laterRatio: 'jobs a second after as many jobs again, by those of the first',
  growthMiB: 'what the requester held more after these than after the first, resident, MiB',
  listMs: 'ms to list the ten newest jobs of all of these, median',
  burstRefused: 'of a burst of jobs from 500 clients at once: refused',
  burstLost: 'of that burst: accepted, and not completed',
  readyMs: 'ms from the start of the process of a node without IPFS to its being ready',
  readyIpfsMs: 'the same with IPFS',
  rssMiB: 'resident memory of a node that is ready, without IPFS, MiB',
  rssIpfsMiB: 'the same with IPFS',
}

const job = JSON.stringify({
  apiVersion: 'skrei/v1',
  engine: { type: 'noop' },
  resources: { cpu: '100m', memory: '1Mi', disk: '1Mi' },
  publisher: { type: 'none' },
})

interface Answer {
  readonly status: number
  readonly body: string
}

const ask = async (agent: Agent, method: string, url: string, body?: string): Promise<Answer> => {
  const outgoing = request(url, { agent, method, ...(body !== undefined && { headers: { 'content-type': 'application/json' } }) })
  outgoing.end(body)
  const [answer] = await once(outgoing, 'response')
  let text = ''
  for await (const chunk of answer.setEncoding('utf8')) text += chunk
  return { status: answer.statusCode, body: text }
}

/** Submits one job and waits for its end. Returns its milliseconds. */
const runJob = async (agent: Agent, api: string): Promise<number> => {
  const began = performance.now()
  const { status, body } = await ask(agent, 'POST', `${api}/api/v1/jobs?wait=60`, job)
  const took = performance.now() - began
  if (status !== 201 || JSON.parse(body).state !== 'completed') throw new Error(`a job came to ${status} ${body}`)
  return took
}

const runJobs = async (api: string, count: number, at: number): Promise<readonly number[]> => {
  const agent = new Agent({ keepAlive: true, maxSockets: at })
  const durations: number[] = []
  let started = 0
  const client = async (): Promise<void> => {
    while (started < count) {
      started++
      durations.push(await runJob(agent, api))
    }
  }
  try {
    await Promise.all(Array.from({ length: at }, client))
  } finally {
    agent.destroy()
  }
  return durations
}

/** Everything at once, from as many connections. */
const burst = async (api: string, count: number): Promise<{ readonly refused: number; readonly lost: number }> => {
  const agent = new Agent({ keepAlive: true, maxSockets: clients })
  try {
    const submitted = await Promise.all(Array.from({ length: count }, () => ask(agent, 'POST', `${api}/api/v1/jobs`, job)))
    const accepted = submitted.filter(({ status }) => status === 201).map(({ body }) => JSON.parse(body).id as string)
    let lost = 0
    for (const id of accepted) {
      const { body } = await ask(agent, 'GET', `${api}/api/v1/jobs/${id}?wait=60`)
      if (JSON.parse(body).state !== 'completed') lost++
    }
    return { refused: count - accepted.length, lost }
  } finally {
    agent.destroy()
  }
}

const portsOf = (nodes: readonly NodeProcess[]): readonly number[] =>
  nodes.flatMap(({ addresses }) => addresses.map((address) => Number(/\/tcp\/(\d+)/.exec(address)?.[1])))

const known = async (api: string): Promise<number> => {
  const agent = new Agent()
  const { body } = await ask(agent, 'GET', `${api}/api/v1/nodes`)
  agent.destroy()
  return (JSON.parse(body).nodes as readonly unknown[]).length
}

interface Size {
  readonly jobs: number
  readonly alone: number
  readonly lists: number
  readonly burst: number
}

const network = async (folder: string, size: Size, note: (text: string) => void) => {
  const nodes: NodeProcess[] = []
  try {
    const requester = await startNode(join(folder, 'requester'), ['--no-ipfs', '--requester-only'])
    nodes.push(requester)
    const peer = requester.addresses[0]
    if (peer === undefined) throw new Error('the requester listens nowhere')
    for (let index = 0; index < computeNodes; index++)
      nodes.push(await startNode(join(folder, `compute-${index}`), ['--no-ipfs', '--compute-only', '--peer', peer]))
    while ((await known(requester.api)) < computeNodes) await pause(20)
    await runJobs(requester.api, Math.min(500, size.jobs), concurrency)

    const total = (): number => nodes.reduce((sum, { pid }) => sum + cpuMs(pid), 0)
    const round = async () => {
      const cpu = total()
      const bytes = await bytesBetween(portsOf(nodes))
      const began = performance.now()
      const durations = await runJobs(requester.api, size.jobs, concurrency)
      const wall = performance.now() - began
      const rate = (size.jobs * 1000) / wall
      note(`${size.jobs} jobs in ${(wall / 1000).toFixed(1)} s`)
      return { durations, rate, cpu: total() - cpu, bytes: (await bytesBetween(portsOf(nodes))) - bytes, rss: rssMiB(requester.pid) }
    }
    const first = await round()
    const alone = await runJobs(requester.api, size.alone, 1)
    const second = await round()
    const agent = new Agent({ keepAlive: true })
    const lists: number[] = []
    for (let index = 0; index < size.lists; index++) {
      const began = performance.now()
      await ask(agent, 'GET', `${requester.api}/api/v1/jobs?limit=10`)
      lists.push(performance.now() - began)
    }
    agent.destroy()
    const { refused, lost } = await burst(requester.api, size.burst)
    return {
      jobsPerSecond: first.rate,
      meanMs: mean(first.durations),
      p99Ms: quantile(first.durations, 0.99),
      cpuMsPerJob: first.cpu / size.jobs,
      bytesPerJob: first.bytes / size.jobs,
      oneClientMs: quantile(alone, 0.5),
      laterRatio: second.rate / first.rate,
      growthMiB: second.rss - first.rss,
      listMs: quantile(lists, 0.5),
      burstRefused: refused,
      burstLost: lost,
    }
  } finally {
    for (const node of nodes.reverse()) await node[Symbol.asyncDispose]()
  }
}

/** One node by itself, started on a home that is there. */
const alone = async (home: string, flags: readonly string[]) => {
  await (await startNode(home, flags))[Symbol.asyncDispose]()
  await using node = await startNode(home, flags)
  const { readyMs, pid } = node
  await pause(2000)
  return { readyMs, rss: rssMiB(pid) }
}

export const suite: Suite = {
  name: 'jobs',
  about:
    'Noop jobs through the HTTP API: one requester and three compute nodes, each a process of the built program, over libp2p and TCP on loopback, stores durable.',
  figures,
  run: async ({ full, smallest, repeat, note }) => {
    await buildProgram(note)
    const size: Size = full
      ? { jobs: 10_000, alone: 1000, lists: 100, burst: 1000 }
      : smallest
        ? { jobs: 20, alone: 3, lists: 3, burst: 10 }
        : { jobs: 2000, alone: 200, lists: 50, burst: 1000 }
    const rounds: Readonly<Record<keyof typeof figures, number>>[] = []
    for (let round = 1; round <= repeat; round++) {
      note(`round ${round} of ${repeat}`)
      const measured = await withTemporaryFolder((folder) => network(folder, size, note))
      const plain = await withTemporaryFolder((folder) => alone(folder, ['--no-ipfs']))
      const ipfs = await withTemporaryFolder((folder) => alone(folder, []))
      rounds.push({ ...measured, readyMs: plain.readyMs, readyIpfsMs: ipfs.readyMs, rssMiB: plain.rss, rssIpfsMiB: ipfs.rss })
    }
    return samplesOf(rounds)
  },
}
