import type { JobSpec, Refusal } from '@skrei/job-spec'
import type { Reader, Row } from '@skrei/state-store'
import type { ExecutionContext } from '../machines/execution.ts'
import type { JobContext } from '../machines/job.ts'
import type { ShardContext } from '../machines/shard.ts'
import type { JobPage, JobState, JobView, ShardPage, ShardResult, ShardView } from '../options.ts'
import { shardId } from './facts.ts'

// What users see of a job, as its rows say: each a page of the store.

const viewOf = ({ state, open, data }: Row): JobView => {
  const job = data as unknown as JobContext
  const { total, active, completed, failed, cancelled } = job.shards
  return {
    id: job.id,
    name: job.name,
    specCid: job.specCid,
    state: state as JobState,
    open,
    submittedAt: job.submittedAt,
    ...(job.manifest !== undefined && { shards: { total, active, completed, failed, cancelled } }),
    ...(job.failure && { failure: job.failure }),
    ...(job.reference && { reference: job.reference }),
  }
}

export const jobView = (reader: Reader, jobId: string): JobView | undefined => {
  const row = reader.get('job', jobId)
  return row && viewOf(row)
}

export const jobViews = (reader: Reader, { newestFirst, ...where }: JobPage): readonly JobView[] =>
  reader.list('job', { ...where, ...(newestFirst !== undefined && { descending: newestFirst }) }).map(viewOf)

export const jobSpecOf = (reader: Reader, jobId: string): JobSpec | undefined => {
  // The job goes first when it is forgotten: what is left of it is not there.
  if (reader.get('job', jobId) === undefined) return undefined
  return reader.get('spec', jobId)?.data as unknown as JobSpec | undefined
}

/** A shard, and what it came to as far as it is known. */
export const shardAs = <State extends string>(state: State, shard: ShardContext): Omit<ShardResult, 'state'> & { readonly state: State } => ({
  index: shard.index,
  state,
  ...(shard.executions.at(-1)?.node && { node: shard.executions.at(-1)?.node ?? '' }),
  ...(shard.result?.exit !== undefined && { exit: shard.result.exit }),
  ...(shard.result?.digest !== undefined && { digest: shard.result.digest }),
  ...(shard.result && { usage: shard.result.usage, facts: shard.result.facts }),
  ...(shard.verdict && { verdict: shard.verdict }),
  ...(shard.failure && { failure: shard.failure }),
  ...(shard.reference === undefined && shard.logs && { logs: shard.logs }),
  executions: shard.executions,
})

const shardsPerPage = 256

/** In these a shard has no node. */
const waiting: ReadonlySet<string> = new Set(['placing', 'choosing', 'waiting'])
const mostRefusals = 8

const refusalsOf = ({ asked, resting = [] }: ShardContext): readonly Refusal[] => {
  const all = [...asked, ...resting].flatMap(({ refusals = [] }) => refusals)
  return [...new Map(all.map((refusal) => [`${refusal.code} ${refusal.detail}`, refusal])).values()].slice(0, mostRefusals)
}

export const shardViews = (reader: Reader, jobId: string, { after, limit = shardsPerPage, state }: ShardPage = {}): readonly ShardView[] => {
  if (reader.get('job', jobId) === undefined) return []
  const where = { parent: jobId, limit, ...(after !== undefined && { after: shardId(jobId, after) }), ...(state !== undefined && { state }) }
  return reader.list('shard', where).map(({ id, state: now, open, data }) => {
    const shard = data as unknown as ShardContext
    const refusals = waiting.has(now) ? refusalsOf(shard) : []
    const view = { ...shardAs(now, shard), ...(refusals.length > 0 && { refusals }) }
    const [running] = open ? reader.list('execution', { parent: id, open: true, limit: 1 }) : []
    if (running === undefined) return { ...view, open }
    const { node } = running.data as unknown as ExecutionContext
    return { ...view, node, open, executions: [...view.executions, { id: running.id, node, outcome: running.state }] }
  })
}
