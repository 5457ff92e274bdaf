import type { Failure, FailureCode, RefusalCode } from '@skrei/job-spec'
import { executionId } from '@skrei/protocol'
import type { Reader } from '@skrei/state-store'
import { choose } from '../directory/choose.ts'
import type { Directory } from '../directory/directory.ts'
import type { NodeFailures } from '../directory/failures.ts'
import { isPermanent, type Wanted } from '../directory/fit.ts'
import type { createFittings, Fitting } from '../directory/fitting.ts'
import type { RankerFailed } from '../directory/rank.ts'
import type { Ranker } from '../directory/ranker.ts'
import { type NodeRefusals, sumUp } from '../directory/summary.ts'
import { lazy } from '../kernel/lazy.ts'
import type { JobContext, JobFacts } from '../machines/job.ts'
import { everyBarred } from '../machines/refused.ts'
import type { Asked, ShardContext, ShardFacts } from '../machines/shard.ts'
import type { Settings } from '../settings.ts'
import { readManifest } from './manifest-rows.ts'
import type { KnownJob, Specs } from './specs.ts'

export interface RequesterWorld {
  readonly network: string
  readonly self: string
  readonly settings: Settings
  readonly specs: Specs
  readonly directory: Directory
  readonly now: () => number
  readonly fittings: ReturnType<typeof createFittings>
  readonly rankers: readonly Ranker[]
  readonly rankerFailed: (job: string, ranker: string, why: string) => void
  readonly failures: NodeFailures
  readonly random: () => number
  /** False while other nodes with this engine may be there that this one has not heard of yet. */
  readonly settledIn: (engine: string) => boolean
}

/** Ids of shards sort by their index. */
export const shardId = (jobId: string, index: number): string => `${jobId}/${String(index).padStart(7, '0')}`

export const jobOf = (shard: string): string => shard.slice(0, shard.lastIndexOf('/'))
export const shardIndexOf = (shard: string): number => Number(shard.slice(shard.lastIndexOf('/') + 1))

/** More than any window: a window may have been larger when the job was accepted. */
const everyOpenShard = 100_000

export const jobFacts = (world: RequesterWorld, reader: Reader, jobId: string): JobFacts =>
  lazy<JobFacts>({
    active: () => reader.list('shard', { parent: jobId, open: true, limit: everyOpenShard }).map(({ id }) => id),
    shard: () => (index) => newShard(world, world.specs.get(reader, jobId), jobId, index),
    composes: () => publisherOf(world.specs.get(reader, jobId)) !== 'none',
  })

const publisherOf = ({ resolved }: KnownJob): string => resolved.publishers[0]?.type ?? 'none'

const newShard = ({ settings }: RequesterWorld, job: KnownJob, jobId: string, index: number): ShardContext => ({
  id: shardId(jobId, index),
  jobId,
  index,
  attempt: 1,
  round: 0,
  queue: job.resolved.timeouts.queue,
  asked: [],
  barred: [],
  executions: [],
  epoch: 0,
  retry: job.resolved.retry,
  times: {
    widen: settings.widen,
    bidWindow: settings.bidWindow,
    retryAfter: settings.retryAfter,
    longestRetryAfter: settings.longestRetryAfter,
    maxAsks: settings.maxAsks,
    execution: {
      lease: settings.lease,
      publish: settings.publish,
      match: settings.match,
      stop: settings.stop,
      retention: settings.retention,
      run: settings.stage + job.resolved.timeouts.execution + 2 * settings.stop,
      drift: settings.drift,
    },
  },
  publisher: publisherOf(job),
  stopping: false,
})

/** What a shard's machine may ask about, read in the turn. */
export const shardFacts = (world: RequesterWorld, reader: Reader, state: string, shard: ShardContext, event: Readonly<Record<string, unknown>>): ShardFacts => {
  const job = world.specs.get(reader, shard.jobId)
  const wanted = wantedBy(job)
  const barred = barredWith(shard, event)
  const fitting = (): Fitting => world.fittings.of(shard.jobId, wanted)
  // A new round begins: whoever was asked in the last one may be asked again.
  const asked = state === 'placing' || state === 'choosing' ? shard.asked : []
  return lazy<ShardFacts>({
    candidates: () =>
      candidates(
        world,
        reader,
        fitting(),
        shard,
        asked,
        wanted,
        job,
        new Set(barred.map(({ node }) => node)),
        new Set(restingNow(world, shard).map(({ node }) => node)),
      ),
    hopeless: () => hopeless(world, fitting(), wanted, barred),
    summary: () => summary(world, fitting(), shard, barred),
    overdue: () => allRefused(fitting(), barred) ?? { code: 'queue-timeout', detail: summary(world, fitting(), shard, barred) },
    ask: () => askOf(world, reader, job, shard),
  })
}

const askOf = ({ settings }: RequesterWorld, reader: Reader, job: KnownJob, shard: ShardContext): ShardFacts['ask'] => {
  const manifest = readManifest(reader, shard.jobId, shard.index)
  const row = reader.get('job', shard.jobId)?.data as unknown as JobContext | undefined
  if (manifest === undefined || row === undefined) throw new Error(`shard ${shard.id} has no manifest`)
  return {
    task: job.task,
    shard: {
      index: shard.index,
      count: row.shards.total,
      manifest: manifest.cid,
      ...(manifest.files !== undefined && manifest.lists === undefined && { files: [...manifest.files] }),
    },
    terms: {
      queue: shard.queue,
      lease: settings.lease,
      publishers: [...job.resolved.publishers],
      verification: job.resolved.verification.method,
      constraints: [...job.resolved.constraints],
      publish: settings.publish,
      retention: settings.retention,
    },
  }
}

/** What a node must have for a job's shards. */
export const wantedBy = (job: KnownJob): Wanted => ({
  task: job.task,
  constraints: job.resolved.constraints,
  sources: sourcesOf(job),
  publisher: publisherOf(job),
})

const sourcesOf = ({ resolved }: KnownJob): readonly string[] => [
  ...resolved.inputs.map(({ source }) => source.type),
  ...('module' in resolved.engine && typeof resolved.engine.module === 'object' && resolved.engine.module !== null && 'type' in resolved.engine.module
    ? [String(resolved.engine.module.type)]
    : []),
]

/** Those who said "later": until then they are not asked. */
const restingNow = ({ now }: RequesterWorld, { resting = [] }: ShardContext): readonly NodeRefusals[] => resting.filter(({ until }) => until > now())

/** Those who said "never", the event's own answer included. */
const barredWith = (shard: ShardContext, event: Readonly<Record<string, unknown>>): readonly NodeRefusals[] => {
  const before = everyBarred(shard)
  if (event['type'] !== 'decline') return before
  const { node, refusals } = event as unknown as NodeRefusals
  return isPermanent(refusals) ? [...before.filter((one) => one.node !== node), { node, refusals }] : before
}

const candidates = (
  world: RequesterWorld,
  reader: Reader,
  fitting: Fitting,
  shard: ShardContext,
  alreadyAsked: readonly Asked[],
  wanted: Wanted,
  job: KnownJob,
  no: ReadonlySet<string>,
  resting: ReadonlySet<string>,
): readonly Asked[] => {
  const { settings, directory, rankers, random } = world
  const asked = new Set(alreadyAsked.map(({ node }) => node))
  const isFull = asked.size >= settings.maxAsks
  const room = isFull ? 1 : Math.min(asked.size < settings.asks ? settings.asks - asked.size : settings.asks, settings.maxAsks - asked.size)
  const failed = shard.executions.map(({ node }) => node)
  const used = (node: string): boolean => failed.filter((one) => one === node).length >= shard.retry.perNode
  const free = (node: string): boolean => !asked.has(node) && !no.has(node)
  const fresh = (node: string): boolean => free(node) && !used(node)
  const holders = new Set((reader.get('job', shard.jobId)?.data as unknown as JobContext | undefined)?.holders)
  const facts = { ...wanted, prefer: job.resolved.prefer, failed, holders, failures: world.failures.recent, random }
  const rankerFailed: RankerFailed = (ranker, why) => world.rankerFailed(shard.jobId, ranker, why)
  const chosen = (accept: (node: string) => boolean): readonly string[] => choose({ directory, fitting, facts, rankers, room, accept, rankerFailed })
  const may = (node: string): boolean => fresh(node) && !resting.has(node)
  // Those asked first were full, or they would have answered: one that says that it has room is asked before others. Once as many wait as may, only such a one takes the place of another.
  const roomy = asked.size === 0 ? [] : chosen((node) => may(node) && hasRoom(directory, node, wanted))
  let nodes = isFull || roomy.length >= room ? roomy : [...roomy, ...chosen((node) => may(node) && !roomy.includes(node))]
  // Never a node twice after it failed, unless nobody else is left, be it for later; and that is known only once others were looked for.
  if (nodes.length === 0 && asked.size === 0 && failed.length > 0 && chosen(fresh).length === 0 && world.settledIn(wanted.task.engine.type))
    nodes = chosen((node) => free(node) && !resting.has(node))
  // The best-ranked is asked alone: while it has room, nobody else assesses, reserves and is let go in vain.
  return nodes.slice(0, asked.size === 0 ? 1 : room).map((node, offset) => {
    const askId = `${shard.id}/${shard.round + offset}`
    return { node, askId, execution: executionId({ network: world.network, requester: world.self, compute: node, askId, index: shard.index }) }
  })
}

/** Whether a node announced that it has what the task needs, now. */
const hasRoom = (directory: Directory, node: string, { task: { resources } }: Wanted): boolean => {
  const free = directory.get(node)?.announcement.free
  return free !== undefined && free.cpu >= resources.cpu && free.memory >= resources.memory && free.disk >= resources.disk
}

/** Everybody who could never, by what they announced or by what they said. */
const nevers = (fitting: Fitting, barred: readonly NodeRefusals[]): readonly NodeRefusals[] => {
  const said = barred.filter(({ node }) => fitting.fits.has(node))
  const own = new Map(barred.map(({ node, refusals }) => [node, refusals]))
  return [...fitting.never().map(({ node, refusals }) => ({ node, refusals: own.get(node) ?? refusals })), ...said]
}

/** What all nodes refuse for the sake of the input is the input's failure, not the network's. */
export const inputCodes: Readonly<Partial<Record<RefusalCode, FailureCode>>> = { 'input-too-large': 'source-too-large', 'source-forbidden': 'source-forbidden' }

const hopeless = (world: RequesterWorld, fitting: Fitting, wanted: Wanted, barred: readonly NodeRefusals[]): ShardFacts['hopeless'] =>
  isRefused(fitting, barred) && world.settledIn(wanted.task.engine.type) ? allRefused(fitting, barred) : undefined

/** Whether each node that is known could never, by what it announced or by what it said. */
const isRefused = (fitting: Fitting, barred: readonly NodeRefusals[]): boolean =>
  fitting.known > 0 && barred.reduce((count, { node }) => count + (fitting.fits.has(node) ? 1 : 0), 0) >= fitting.fits.size

const allRefused = (fitting: Fitting, barred: readonly NodeRefusals[]): Failure | undefined => {
  // Asked at every decline: the sum over all nodes is made only where each of them said no.
  if (!isRefused(fitting, barred)) return undefined
  const nodes = nevers(fitting, barred)
  const codes = new Set(nodes.flatMap(({ refusals }) => refusals.map(({ code }) => code)))
  const [only] = codes
  const code = (codes.size === 1 && only !== undefined && inputCodes[only]) || 'no-node'
  return { code, detail: code === 'no-node' ? sumUp(nodes, fitting.known) : (nodes[0]?.refusals[0]?.detail ?? sumUp(nodes, fitting.known)) }
}

const summary = (world: RequesterWorld, fitting: Fitting, shard: ShardContext, barred: readonly NodeRefusals[]): string => {
  const nodes = nevers(fitting, barred)
  const never = new Set(nodes.map(({ node }) => node))
  const answers = new Map([...restingNow(world, shard), ...shard.asked].map(({ node, refusals }) => [node, refusals]))
  const busy = [...answers].flatMap(([node, refusals]) => (refusals && !never.has(node) ? [{ node, refusals }] : []))
  return sumUp([...nodes, ...busy], fitting.known)
}
