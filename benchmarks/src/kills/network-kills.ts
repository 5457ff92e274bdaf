import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { type ApiClient, apiClient } from '@skrei/api/client'
import { identityFrom } from '@skrei/protocol'
import { endsWithParent } from '../ends-with-parent.ts'
import { completedTwice, leftovers, lostJobs, readCopy, recorded } from './look.ts'
import { processesOf } from './session.ts'

export interface NetworkKillsOptions {
  readonly kills: number
  /** An empty folder: the homes of the nodes. */
  readonly folder: string
  /** Uniform in [0, 1): whom to kill, and when. */
  readonly random: () => number
  readonly note: (text: string) => void
  /** What the command line is, before its arguments: flags of Node and the program. */
  readonly program: readonly string[]
  readonly requesters?: number
  readonly computes?: number
}

/** Each list holds what went wrong, in words: all are empty for a network that keeps its promises. */
export interface NetworkKillsOutcome {
  /** Processes that were killed. */
  readonly kills: number
  readonly jobsAccepted: number
  readonly jobsLost: readonly string[]
  readonly doubleResults: readonly string[]
  readonly processesLeft: readonly string[]
  readonly leftovers: readonly string[]
  /** Ends of processes that nobody asked for, and temporary files that they left. */
  readonly faults: readonly string[]
}

/** Jobs that are under way at once, of each requester. */
const underWay = 8
/** Milliseconds of work between two kills, at most. */
const mostWork = 900
/** Of kills, those that take a requester and a compute node together. */
const both = 0.2
/** Of kills, those that come while a node that was killed starts again. */
const whileStarting = 0.25
const longestStart = 60_000
const longestFinish = 180_000
const grace = 10_000

interface Member {
  readonly name: string
  readonly role: 'requester' | 'compute'
  readonly home: string
  readonly port: number
  readonly apiPort: number
  child?: ChildProcess & { readonly pid: number }
  /** Resolves when the process that runs now is ready, or has ended. */
  ready: Promise<unknown>
}

const filesOf = ({ home }: Member) => ({ state: join(home, 'node/state.sqlite'), workspace: join(home, 'node/workspace'), wasm: join(home, 'node/wasm') })

/** Whoever is killed often tries often. */
const common = {
  apiVersion: 'skrei/v1',
  resources: { cpu: '200m', memory: '1Mi', disk: '1Mi' },
  publisher: { type: 'local' },
  retry: { attempts: 100, perNode: 100, backoff: '10ms' },
}
const jobs = [
  { ...common, name: 'short', engine: { type: 'noop', stdout: 'short\n' } },
  {
    ...common,
    name: 'sharded',
    engine: { type: 'noop', duration: '50ms', files: { '/out/a': 'a' } },
    outputs: [{ name: 'out', path: '/out' }],
    sharding: { count: 3 },
  },
  { ...common, name: 'long', engine: { type: 'noop', duration: '400ms', stdout: 'long\n' } },
].map((job) => JSON.stringify(job))

const freePorts = async (count: number): Promise<readonly number[]> => {
  const servers = Array.from({ length: count }, () => createServer())
  for (const server of servers) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const ports = servers.map((server) => (server.address() as { readonly port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

/** Requesters and compute nodes that know each other, each with a home of its own and ports that stay. */
const layOut = async ({ folder, requesters = 2, computes = 3 }: NetworkKillsOptions): Promise<readonly Member[]> => {
  const count = requesters + computes
  const ports = await freePorts(2 * count)
  const seeds = Array.from({ length: count }, (_, index) => Buffer.alloc(32, index + 1))
  const addresses = seeds.map((seed, index) => `/ip4/127.0.0.1/tcp/${ports[index]}/p2p/${identityFrom(seed).nodeId}`)
  return seeds.map((seed, index) => {
    const role = index < requesters ? 'requester' : 'compute'
    const home = join(folder, `${role}-${index}`)
    mkdirSync(home, { mode: 0o700 })
    writeFileSync(join(home, 'identity'), `${seed.toString('hex')}\n`, { mode: 0o600 })
    const config = {
      network: 'kills',
      roles: [role],
      listen: [`/ip4/127.0.0.1/tcp/${ports[index]}`],
      peers: addresses.filter((_, other) => other !== index),
      api: { port: ports[count + index] },
      ipfs: false,
      engines: ['noop'],
      ...(role === 'compute' && { capacity: { cpu: 2, memory: '1Gi', disk: '1Gi' } }),
      publishers: { local: join(folder, 'published') },
      log: { level: 'error', format: 'json' },
      drain: '20s',
      settings: { lease: '2s', heartbeat: '500ms', retryAfter: '100ms', announcementTtl: '1500ms' },
    }
    writeFileSync(join(home, 'config.yaml'), JSON.stringify(config))
    return { name: `${role} ${index}`, role, home, port: ports[index] ?? 0, apiPort: ports[count + index] ?? 0, ready: Promise.resolve() }
  })
}

/**
 * A network of nodes that are processes of their own, over TCP, takes jobs without a pause through its APIs, while its processes are killed with SIGKILL at random and started again:
 * requesters, compute nodes, both at once, and such as are just starting. Each time the store of a requester is compared with what it was before. In the end the network may finish.
 */
export const killNetworkAgainAndAgain = async (options: NetworkKillsOptions): Promise<NetworkKillsOutcome> => {
  const { kills, folder, random, note, program } = options
  if (process.platform !== 'linux') throw new Error('what a killed node leaves running is found in the process table of Linux: run this on Linux')
  mkdirSync(join(folder, 'published'))
  const temporary = join(folder, 'tmp')
  mkdirSync(temporary)
  const members = await layOut(options)
  const requesters = members.filter(({ role }) => role === 'requester')
  const doubleResults: string[] = []
  const processesLeft: string[] = []
  const faults: string[] = []
  const accepted = new Map(requesters.map((member) => [member, [] as string[]]))
  const before = new Map<Member, ReadonlyMap<string, string>>()
  let isOver = false

  const start = (member: Member): void => {
    const log = openSync(join(folder, `${member.name}.log`), 'a')
    const child = spawn(process.execPath, [endsWithParent, ...program, 'node', 'start', '--json'], {
      env: { ...process.env, SKREI_HOME: member.home, TMPDIR: temporary },
      // In a session of its own, which its engines inherit: they are found after its death. Nothing but its standard input binds it to this process.
      detached: true,
      stdio: ['pipe', 'pipe', log],
    })
    closeSync(log)
    if (child.pid === undefined) throw new Error('a node could not be started')
    member.child = Object.assign(child, { pid: child.pid })
    const lines = createInterface({ input: child.stdout as Readable })
    const ready = new Promise<void>((resolve) => lines.on('line', (line) => line.includes('"type":"ready"') && resolve()))
    member.ready = Promise.race([ready, once(child, 'exit')])
  }

  /** After its end: its engines must have followed it. */
  const buried = async (session: number, who: string): Promise<void> => {
    const end = Date.now() + grace
    let left = processesOf(session)
    while (left.length > 0 && Date.now() < end) {
      await pause(20)
      left = processesOf(session)
    }
    for (const pid of left) {
      processesLeft.push(`process ${pid} outlived ${who}`)
      process.kill(pid, 'SIGKILL')
    }
  }

  const compare = (member: Member): void => {
    const now = readCopy(member.home, recorded, filesOf(member)) ?? new Map<string, string>()
    for (const [object, was] of before.get(member) ?? []) if (now.get(object) !== was) doubleResults.push(`${object} was ${was} and is ${now.get(object)}`)
    before.set(member, now)
  }

  const kill = async (member: Member, when: string): Promise<void> => {
    const { child } = member
    if (child === undefined) return
    const ended = child.exitCode !== null || child.signalCode !== null ? Promise.resolve([child.exitCode, child.signalCode]) : once(child, 'exit')
    child.kill('SIGKILL')
    const [code, signal] = (await ended) as [number | null, string | null]
    if (signal !== 'SIGKILL')
      faults.push(`${member.name} ended by itself before ${when}: ${signal ?? `code ${code}`}\n${tailOf(join(folder, `${member.name}.log`))}`)
    await buried(child.pid, `${member.name} of ${when}`)
    if (member.role === 'requester') compare(member)
  }

  /** Keeps jobs coming. What is accepted is known by its key, however often the answer is lost. */
  const submitting = async (member: Member, ids: string[]): Promise<void> => {
    const client = apiClient({ url: `http://127.0.0.1:${member.apiPort}`, retry: { attempts: 1 } })
    const open = new Set<string>()
    for (let next = 0; !isOver; next += 1) {
      while (open.size >= underWay && !isOver) {
        for (const id of open) if (await isFinal(client, id)) open.delete(id)
        await pause(10)
      }
      const job = jobs[next % jobs.length] ?? ''
      const id = await submittedOnce(client, job, () => isOver)
      if (id !== undefined) {
        ids.push(id)
        open.add(id)
      }
    }
  }

  for (const member of members) start(member)
  await Promise.all(members.map(({ ready }) => ready))
  const submissions = Promise.all([...accepted].map(([member, ids]) => submitting(member, ids)))
  let killed = 0
  try {
    while (killed < kills) {
      if (random() >= whileStarting) await Promise.race([Promise.all(members.map(({ ready }) => ready)), pause(longestStart, undefined, { ref: false })])
      await pause(random() * mostWork)
      const computes = members.filter(({ role }) => role === 'compute')
      const one = members[Math.floor(random() * members.length)]
      const pair = [requesters[Math.floor(random() * requesters.length)], computes[Math.floor(random() * computes.length)]]
      const victims = (random() < both && killed + 2 <= kills ? pair : [one]).filter((member) => member !== undefined)
      await Promise.all(victims.map((member) => kill(member, `kill ${killed + 1}`)))
      for (const member of victims) start(member)
      const tens = Math.floor(killed / 10)
      killed += victims.length
      if (Math.floor(killed / 10) > tens || killed === kills)
        note(`${killed} of ${kills} kills, ${[...accepted.values()].reduce((sum, ids) => sum + ids.length, 0)} jobs accepted`)
    }
    isOver = true
    await submissions
    await Promise.race([
      Promise.all([...accepted].flatMap(([member, ids]) => ids.map((id) => finished(`http://127.0.0.1:${member.apiPort}`, id)))),
      pause(longestFinish, undefined, { ref: false }),
    ])
    // Whoever was not reached is tried again only after a while.
    const settled = members.map(({ apiPort }) => idle(`http://127.0.0.1:${apiPort}`))
    await Promise.race([Promise.all(settled), pause(longestFinish, undefined, { ref: false })])
  } finally {
    isOver = true
    // Compute nodes first: they drain while their requesters hear them.
    for (const role of ['compute', 'requester'] as const) await Promise.all(members.filter((member) => member.role === role).map((member) => ended(member)))
  }

  async function ended(member: Member): Promise<void> {
    const { child, name } = member
    if (child === undefined) return
    const exit = child.exitCode !== null || child.signalCode !== null ? Promise.resolve([child.exitCode, child.signalCode]) : once(child, 'exit')
    child.kill('SIGTERM')
    const giveUp = setTimeout(() => child.kill('SIGKILL'), longestStart)
    const [code, signal] = (await exit) as [number | null, string | null]
    clearTimeout(giveUp)
    if (code !== 0) faults.push(`${name} did not come to its end: ${signal ?? `code ${code}`}\n${tailOf(join(folder, `${name}.log`))}`)
    await buried(child.pid, `${name} in the end`)
  }

  for (const member of requesters) compare(member)
  const read = <T>(member: Member, work: Parameters<typeof readCopy<T>>[1]): T | undefined => readCopy(member.home, work, filesOf(member))
  return {
    kills: killed,
    jobsAccepted: [...accepted.values()].reduce((sum, ids) => sum + ids.length, 0),
    jobsLost: [...accepted].flatMap(([member, ids]) => read(member, (reader) => lostJobs(reader, ids)) ?? ids),
    doubleResults: [...doubleResults, ...requesters.flatMap((member) => read(member, completedTwice) ?? [])],
    processesLeft,
    leftovers: members.flatMap((member) =>
      (read(member, (reader) => leftovers(reader, member.home, filesOf(member))) ?? []).map((what) => `${member.name}: ${what}`),
    ),
    faults: [...faults, ...readdirSync(temporary).map((name) => `a temporary file is left: ${name}`)],
  }
}

/** The end of what a node said. */
const tailOf = (path: string): string => readFileSync(path, 'utf8').slice(-2000)

/** Submits until the node answers, under one key; undefined where it is over before. */
const submittedOnce = async (client: ApiClient, job: string, isOver: () => boolean): Promise<string | undefined> => {
  const key = randomUUID()
  for (let tries = 0; tries === 0 || !isOver(); tries += 1) {
    try {
      return (await client.submit(job, { key })).job.id
    } catch {
      await pause(20)
    }
  }
  return undefined
}

const isFinal = async (client: ApiClient, id: string): Promise<boolean> => {
  try {
    return !(await client.job(id)).open
  } catch {
    return false
  }
}

const finished = async (url: string, id: string): Promise<void> => {
  const client = apiClient({ url, retry: { attempts: 1 } })
  while (!(await isFinal(client, id))) await pause(50)
}

/** Resolves once nothing runs on a node, nothing is kept there for its requester, and all that it had to say was heard. */
const idle = async (url: string): Promise<void> => {
  const client = apiClient({ url, retry: { attempts: 1 } })
  for (;;) {
    const standing = (await client.node().catch(() => undefined))?.standing
    if (standing !== undefined && !standing.executions && !standing.kept && standing.unsent === 0) return
    await pause(100)
  }
}
