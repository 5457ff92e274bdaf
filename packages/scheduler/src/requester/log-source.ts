import type { Reference } from '@skrei/job-spec'
import type { Reader } from '@skrei/state-store'
import { type ExecutionContext, isRecorded } from '../machines/execution.ts'
import type { JobContext } from '../machines/job.ts'
import type { ShardContext } from '../machines/shard.ts'
import { SchedulerError } from '../scheduler-error.ts'
import { shardId } from './facts.ts'

/** Where what an execution writes to its streams is to be had now. */
export type LogSource = { readonly execution: string; readonly node: string } & (
  | { readonly at: 'node' }
  /** In what was published, `stdout` and `stderr` below `path`. */
  | { readonly at: 'publisher'; readonly reference: Reference; readonly path: string }
  /** It ended, and wrote nothing that is known of. */
  | { readonly at: 'nowhere'; readonly isLost: boolean }
)

export interface LogPlace {
  /** No further execution will come. */
  readonly isFinal: boolean
  /** Absent: nothing was awarded yet. */
  readonly source?: LogSource
}

/** Of a shard: its execution with the result, else its newest. Throws a `SchedulerError` (`no-job`, `no-shard`). */
export const logPlace = (reader: Reader, jobId: string, index: number): LogPlace => {
  const jobRow = reader.get('job', jobId)
  if (jobRow === undefined) throw new SchedulerError('no-job', `no job ${jobId}`)
  const job = jobRow.data as unknown as JobContext
  if (!Number.isSafeInteger(index) || index < 0 || (job.manifest !== undefined && index >= job.shards.total))
    throw new SchedulerError('no-shard', `job ${jobId} has no shard ${index}`)
  const row = reader.get('shard', shardId(jobId, index))
  if (row === undefined) return { isFinal: !jobRow.open }
  const source = sourceOf(reader, job, row.data as unknown as ShardContext)
  return { isFinal: !row.open, ...(source && { source }) }
}

const sourceOf = (reader: Reader, job: JobContext, shard: ShardContext): LogSource | undefined => {
  const [running] = reader.list('execution', { parent: shard.id, open: true, limit: 1 })
  if (running !== undefined) {
    const { node } = running.data as unknown as ExecutionContext
    return running.state === 'awarding' ? undefined : { execution: running.id, node, at: 'node' }
  }
  // One that its node refused never was.
  const newest = shard.executions.findLast(({ outcome }) => outcome !== 'refused')
  const row = newest && reader.get('execution', newest.id)
  if (newest === undefined || row === undefined) return undefined
  const { id: execution, node } = newest
  const context = row.data as unknown as ExecutionContext
  const isLost = row.state === 'lost' || context.publisher === 'none'
  if (isRecorded(row.state, context) && context.reference !== undefined && context.reference.type !== 'none')
    return { execution, node, at: 'publisher', reference: context.reference, path: '' }
  if (context.logs === undefined) return { execution, node, at: 'nowhere', isLost }
  // Of a job that is over the requester has a copy of its own.
  return job.reference === undefined
    ? { execution, node, at: 'publisher', reference: context.logs, path: '' }
    : { execution, node, at: 'publisher', reference: job.reference, path: `shards/${shard.index}/logs/` }
}
