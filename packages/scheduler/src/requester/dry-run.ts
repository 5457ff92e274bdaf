import { type Capacity, type Failure, type FileEntry, failureOf, type Refusal } from '@skrei/job-spec'
import type { Announcement, Assessment, Wish } from '@skrei/protocol'
import type { Source } from '@skrei/storage'
import type { Clock, Transport } from '@skrei/transport'
import { queryAssessment } from '../assess-query.ts'
import type { Directory } from '../directory/directory.ts'
import { isPermanent } from '../directory/fit.ts'
import { type RankerFailed, rank } from '../directory/rank.ts'
import type { Ranker, RankingFacts } from '../directory/ranker.ts'
import { type NodeRefusals, sumUp } from '../directory/summary.ts'
import type { Logger } from '../options.ts'
import type { JobPlan, PlannedNode, PlannedShard } from '../plan.ts'
import { unlessAborted } from '../unless-aborted.ts'
import { inputCodes } from './facts.ts'
import { locateInputs } from './holders.ts'
import { type Counted, plan } from './manifest.ts'
import type { KnownJob } from './specs.ts'

export interface DryRunWorld {
  readonly transport: Transport
  readonly clock: Clock
  readonly directory: Directory
  readonly sources: ReadonlyMap<string, Source>
  readonly rankers: readonly Ranker[]
  /** Failures of a node's own making that this requester saw lately. */
  readonly failures: (node: string) => number
  readonly random: () => number
  /** How long one node may take to answer; milliseconds. */
  readonly within: number
  readonly logger: Logger
}

/** As many nodes as a plan asks, so many at a time. */
const askedNodes = 64
const atATime = 8
/** Of how many shards a plan says where they would go. */
const placedShards = 16

/** Lists the inputs and asks nodes what they would say: nothing is written, sent to stay, or reserved, here or there. */
export const dryRun = async (job: KnownJob, world: DryRunWorld, { signal }: { readonly signal: AbortSignal }): Promise<JobPlan> => {
  const base = { specCid: job.specCid, name: job.resolved.name }
  const looking = new AbortController()
  const locating = locateInputs(job.resolved.inputs, world.sources, world.clock, { signal: AbortSignal.any([signal, looking.signal]) })
  locating.catch(() => {})
  const counted = await countInputs(job, world.sources, signal)
  if ('code' in counted) looking.abort()
  if ('code' in counted) return { ...base, outcome: 'input-failed', failure: counted, nodes: [], known: world.directory.all().length, first: [] }

  const { total, manifest, files, bytes, first } = counted
  const input = { shards: total, manifest, files, ...(bytes !== undefined && { bytes }) }
  const known = world.directory.all().length
  const holders = new Set(await locating)
  const holding = [...holders].flatMap((node) => world.directory.get(node) ?? [])
  const those = [...holding, ...world.directory.sample(askedNodes)].map(({ announcement }) => [announcement.node, announcement] as const)
  const sample = [...new Map(those).values()].slice(0, askedNodes)
  const nodes = await assessAll(sample, wishOf(job, first), world, signal)
  const ranked = inOrder(nodes, sample, job, holders, world)
  const able = ranked.filter(({ answer }) => answer === 'runs' || answer === 'waits')
  if (able.length > 0)
    return { ...base, outcome: able.some(({ answer }) => answer === 'runs') ? 'runs' : 'waits', input, nodes: ranked, known, first: placed(job, able, total) }
  return { ...base, outcome: 'no-node', input, nodes: ranked, known, first: [], failure: whyNobody(ranked) }
}

const countInputs = async ({ resolved }: KnownJob, sources: ReadonlyMap<string, Source>, signal: AbortSignal): Promise<Counted | Failure> => {
  try {
    return await unlessAborted(
      plan('plan', resolved, sources, () => Promise.resolve(signal.throwIfAborted()), { signal }),
      signal,
    )
  } catch (error) {
    const failure = signal.aborted ? undefined : failureOf(error)
    if (failure === undefined) throw error
    return failure
  }
}

const wishOf = ({ resolved, task }: KnownJob, files: readonly FileEntry[]): Wish => ({
  task,
  terms: { publishers: [...resolved.publishers], verification: resolved.verification.method, constraints: [...resolved.constraints] },
  files: files.filter(fitting(longestFiles)),
})

/** So many characters of files travel with the question. */
const longestFiles = 128 * 1024
const fitting = (room: number): ((file: FileEntry) => boolean) => {
  let used = 0
  return (file) => {
    used += JSON.stringify(file).length
    return used <= room
  }
}

const assessAll = async (
  sample: readonly Announcement[],
  wish: Wish,
  world: DryRunWorld,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Assessment | undefined>> => {
  const answers = new Map<string, Assessment | undefined>()
  const waiting = [...sample]
  const ask = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      signal.throwIfAborted()
      answers.set(next.node, await assessOne(next.node, wish, world, signal))
    }
  }
  await Promise.all(Array.from({ length: atATime }, ask))
  return answers
}

const assessOne = async (node: string, wish: Wish, { transport, clock, within }: DryRunWorld, signal: AbortSignal): Promise<Assessment | undefined> => {
  const ending = new AbortController()
  using _alarm = clock.at(clock.now() + within, () => ending.abort(new DOMException(`${node} did not answer in time`, 'TimeoutError')))
  try {
    return await queryAssessment(transport, node, wish, { signal: AbortSignal.any([signal, ending.signal]) })
  } catch {
    signal.throwIfAborted()
    return undefined
  }
}

const plannedNode = (node: string, answer: Assessment | undefined): PlannedNode => {
  if (answer === undefined) return { node, answer: 'unknown', refusals: [] }
  if ('unknown' in answer) return { node, answer: 'unknown', refusals: [] }
  const { refusals, lacks, free, queued } = answer
  const standing = { free, queued }
  if (isPermanent(refusals)) return { node, answer: 'never', refusals, ...standing }
  if (refusals.length > 0) return { node, answer: 'not-now', refusals, ...standing }
  if (lacks !== undefined && isPermanent([lacks])) return { node, answer: 'never', refusals: [lacks], ...standing }
  return { node, answer: lacks === undefined ? 'runs' : 'waits', refusals: lacks === undefined ? [] : [lacks], ...standing }
}

const order: Readonly<Record<PlannedNode['answer'], number>> = { runs: 0, waits: 1, 'not-now': 2, never: 3, unknown: 4 }

/** Those that would run it first, each kind by rank. */
const inOrder = (
  answers: ReadonlyMap<string, Assessment | undefined>,
  sample: readonly Announcement[],
  job: KnownJob,
  holders: ReadonlySet<string>,
  { rankers, failures, random, logger }: DryRunWorld,
): readonly PlannedNode[] => {
  const current = sample.map((announcement) => {
    const answer = answers.get(announcement.node)
    return answer !== undefined && 'free' in answer ? { ...announcement, free: { ...announcement.free, ...answer.free } } : announcement
  })
  const { task, resolved } = job
  const wanted: RankingFacts = {
    task,
    constraints: resolved.constraints,
    sources: [],
    publisher: resolved.publishers[0]?.type ?? 'none',
    prefer: resolved.prefer,
    failed: [],
    holders,
    failures,
    random,
  }
  const failed = new Set<string>()
  const rankerFailed: RankerFailed = (ranker, why) => {
    if (!failed.has(ranker)) logger.warn('a ranker failed: where it does, it counts as 0', { ranker, why })
    failed.add(ranker)
  }
  return rank(current, wanted, rankers, rankerFailed)
    .map(({ node }) => plannedNode(node, answers.get(node)))
    .sort((one, other) => order[one.answer] - order[other.answer])
}

/** Each shard to the best node that still has room, as far as room goes; the others wait at the best. */
const placed = ({ task }: KnownJob, able: readonly PlannedNode[], total: number): readonly PlannedShard[] => {
  const room = able.map(({ answer, free }) => ({ free: answer === 'runs' ? free : undefined }))
  const fits = (free: Capacity | undefined): boolean =>
    free !== undefined && free.cpu >= task.resources.cpu && free.memory >= task.resources.memory && free.disk >= task.resources.disk
  return Array.from({ length: Math.min(total, placedShards) }, (_, index) => {
    const at = room.findIndex(({ free }) => fits(free))
    const place = room[at]
    if (place?.free === undefined) return { index, node: able[0]?.node ?? '', waits: true }
    const { cpu, memory, disk } = place.free
    // Whether further devices are free is not known from here: a job that wants some takes all that the node said it has.
    place.free =
      task.resources.gpu.count > 0 ? undefined : { cpu: cpu - task.resources.cpu, memory: memory - task.resources.memory, disk: disk - task.resources.disk }
    return { index, node: able[at]?.node ?? '', waits: false }
  })
}

/** What all refuse for the sake of the input is the input's failure, as when the job runs. */
const whyNobody = (nodes: readonly PlannedNode[]): Failure => {
  const said: readonly NodeRefusals[] = nodes.filter(({ refusals }) => refusals.length > 0)
  const detail = sumUp(said, nodes.length).slice(0, 4096)
  const codes = new Set(said.flatMap(({ refusals }) => refusals.map(({ code }: Refusal) => code)))
  const [only] = codes
  const code = (said.length === nodes.length && codes.size === 1 && only !== undefined && inputCodes[only]) || 'no-node'
  return { code, detail: code === 'no-node' ? detail : (said[0]?.refusals[0]?.detail ?? detail) }
}
