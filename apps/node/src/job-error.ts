import { join } from 'node:path'
import { type FailureCode, failures } from '@skrei/job-spec'
import type { JobResult, JobView, ShardResult } from '@skrei/scheduler'
import { type ExitCode, exitCodes } from './cli-errors.ts'
import type { ResultError } from './job-events.ts'
import { printable } from './printable.ts'
import { tailOf } from './result-directory.ts'

const tailBytes = 2048

/**
 * Why a job did not complete, with the shard that it failed by and the end of that shard's stderr, if the result was fetched into `directory`. Where the node is at
 * fault, `keepLog` says where its log will lie.
 */
export const jobError = async (
  job: JobView,
  result: JobResult | undefined,
  directory: string,
  keepLog: () => string | undefined,
): Promise<ResultError | null> => {
  if (job.state === 'completed') return null
  const failure = job.failure ?? { code: 'cancelled', detail: '' }
  const shard = job.state === 'failed' ? culprit(result?.shards ?? [], failure.code) : undefined
  const stderr = shard === undefined ? '' : printable(await tailOf(join(directory, 'shards', String(shard.index), 'stderr'), tailBytes)).trimEnd()
  const { by, cause } = failures[failure.code]
  const remedy = remedyOf(failure.code)
  const log = by === 'node' ? keepLog() : undefined
  return {
    code: failure.code,
    message: failure.detail === '' ? cause : `${cause.replace(/\.$/, '')}: ${printable(failure.detail)}`,
    remedy: log === undefined ? remedy : `${remedy} (${log})`,
    ...(shard && { shard: shard.index }),
    ...(shard?.node !== undefined && { node: shard.node }),
    ...(stderr !== '' && { stderr }),
  }
}

/** What to do about a failure. */
export const remedyOf = (code: FailureCode): string => remedies[code] ?? failures[code].remedy

// What helps on an embedded node, which its user operates.
const remedies: Readonly<Partial<Record<string, string>>> = {
  'source-forbidden':
    'An address: run it with --allow-private-addresses if it is meant to be private. A file: put it beside the job file or below, readable by you.',
}

const culprit = (shards: readonly ShardResult[], code: string): ShardResult | undefined =>
  shards.find((shard) => shard.failure?.code === code) ?? shards.find((shard) => shard.state === 'failed')

/** The exit code of a job that is over. */
export const jobExit = (job: JobView): ExitCode => {
  if (job.state === 'completed') return exitCodes.completed
  if (job.state === 'cancelled') return exitCodes.cancelled
  const by = job.failure && failures[job.failure.code].by
  return by === 'network' ? exitCodes['no-node'] : by === 'verdict' ? exitCodes['not-accepted'] : exitCodes.failed
}
