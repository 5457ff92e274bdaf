import type { FailureCode, RefusalCode } from '@skrei/job-spec'
import { type Announcement, executionId } from '@skrei/protocol'
import type { Reader } from '@skrei/state-store'
import type { Directory } from '../directory/directory.ts'
import { isPermanent, misfits, type Wanted } from '../directory/fit.ts'
import { rank } from '../directory/rank.ts'
import { type NodeRefusals, sumUp } from '../directory/summary.ts'
import { lazy } from '../kernel/lazy.ts'
import type { JobContext, JobFacts } from '../machines/job.ts'
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
  /** False while other nodes may be there that this one has not heard of yet. */
  readonly settledIn: () => boolean
}

/** Ids of shards sort by their index. */
export const shardId = (jobId: string, index: number): string => `${jobId}/${String(index).padStart(7, '0')}`

export const jobOf = (shard: string): string => shard.slice(0, shard.lastIndexOf('/'))

/** More than any window: a window may have been larger when the job was accepted. */
const everyOpenShard = 100_000

export const jobFacts = (world: RequesterWorld, reader: Reader, jobId: string): JobFacts =>
  lazy<JobFacts>({
    active: () => reader.list('shard', { parent: jobId, open: true, limit: everyOpenShard }).map(({ id }) => id),
    shard: () => (index) => newShard(world, world.specs.get(reader, jobId), jobId, index),
  })

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
      run: settings.stage + job.resolved.timeouts.execution + 2 * settings.stop,
      drift: settings.drift,
    },
  },
  publisher: job.resolved.publishers[0]?.type ?? 'none',
  stopping: false,
})

/** What a shard's machine may ask about, read in the turn. */
export const shardFacts = (world: RequesterWorld, reader: Reader, state: string, shard: ShardContext, event: Readonly<Record<string, unknown>>): ShardFacts => {
  const job = world.specs.get(reader, shard.jobId)
  const wanted: Wanted = {
    task: job.task,
    constraints: job.resolved.constraints,
    sources: sourcesOf(job),
    publisher: job.resolved.publishers[0]?.type ?? 'none',
  }
  const barred = barredWith(shard, event)
  // A new round begins: whoever was asked in the last one may be asked again.
  const asked = state === 'placing' || state === 'choosing' ? shard.asked : []
  return lazy<ShardFacts>({
    candidates: () => candidates(world, shard, asked, wanted, job, new Set([...barred, ...restingNow(world, shard)].map(({ node }) => node))),
    hopeless: () => hopeless(world, wanted, barred),
    summary: () => summary(world, wanted, shard, barred),
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
  if (event['type'] !== 'decline') return shard.barred
  const { node, refusals } = event as unknown as NodeRefusals
  return isPermanent(refusals) ? [...shard.barred, { node, refusals }] : shard.barred
}

const candidates = (
  world: RequesterWorld,
  shard: ShardContext,
  alreadyAsked: readonly Asked[],
  wanted: Wanted,
  job: KnownJob,
  no: ReadonlySet<string>,
): readonly Asked[] => {
  const { settings, directory } = world
  const asked = new Set(alreadyAsked.map(({ node }) => node))
  const room = Math.min(settings.asks, settings.maxAsks - asked.size)
  if (room <= 0) return []
  const failed = shard.executions.map(({ node }) => node)
  const used = (node: string): boolean => failed.filter((one) => one === node).length >= shard.retry.perNode
  const fits = (announcement: Announcement): boolean =>
    !asked.has(announcement.node) && !no.has(announcement.node) && misfits(offerOf(announcement), wanted).length === 0
  // Never a node twice after it failed, unless nobody else is left.
  let nodes = directory.sample(4 * room, (announcement) => fits(announcement) && !used(announcement.node))
  if (nodes.length === 0 && asked.size === 0) nodes = directory.sample(4 * room, fits)
  return rank(nodes, { ...wanted, prefer: job.resolved.prefer, failed })
    .slice(0, room)
    .map(({ node }, offset) => {
      const askId = `${shard.id}/${shard.round + offset}`
      return { node, askId, execution: executionId({ network: world.network, requester: world.self, compute: node, askId, index: shard.index }) }
    })
}

const refusalsOf = (
  { directory }: RequesterWorld,
  wanted: Wanted,
  barred: readonly NodeRefusals[],
): { readonly known: number; readonly nodes: readonly NodeRefusals[] } => {
  const all = directory.all()
  const nodes = all.flatMap((announcement) => {
    const said = barred.find(({ node }) => node === announcement.node)?.refusals ?? misfits(offerOf(announcement), wanted)
    return said.length > 0 ? [{ node: announcement.node, refusals: said }] : []
  })
  return { known: all.length, nodes }
}

/** What all nodes refuse for the sake of the input is the input's failure, not the network's. */
export const inputCodes: Readonly<Partial<Record<RefusalCode, FailureCode>>> = { 'input-too-large': 'source-too-large', 'source-forbidden': 'source-forbidden' }

const hopeless = (world: RequesterWorld, wanted: Wanted, barred: readonly NodeRefusals[]): ShardFacts['hopeless'] => {
  const { known, nodes } = refusalsOf(world, wanted, barred)
  if (known === 0 || nodes.length < known || !world.settledIn()) return undefined
  const codes = new Set(nodes.flatMap(({ refusals }) => refusals.map(({ code }) => code)))
  const [only] = codes
  const code = (codes.size === 1 && only !== undefined && inputCodes[only]) || 'no-node'
  return { code, detail: code === 'no-node' ? sumUp(nodes, known) : (nodes[0]?.refusals[0]?.detail ?? sumUp(nodes, known)) }
}

const summary = (world: RequesterWorld, wanted: Wanted, shard: ShardContext, barred: readonly NodeRefusals[]): string => {
  const { known, nodes } = refusalsOf(world, wanted, barred)
  const answers = new Map([...restingNow(world, shard), ...shard.asked].map(({ node, refusals }) => [node, refusals]))
  const busy = [...answers].flatMap(([node, refusals]) => (refusals && !nodes.some((one) => one.node === node) ? [{ node, refusals }] : []))
  return sumUp([...nodes, ...busy], known)
}

const offerOf = (announcement: Announcement) => ({ ...announcement, engines: announcement.engines.map(({ name }) => name) })
