import { join } from 'node:path'
import { type FailureCode, failures } from '@skrei/job-spec'
import type { JobView, ShardResult } from '@skrei/scheduler'
import { type ExitCode, exitCodes } from './cli-errors.ts'
import type { ResultError } from './job-events.ts'
import { printable } from './printable.ts'
import { tailOf } from './result-directory.ts'

/** The shard that a job failed by. */
export interface Culprit {
  readonly index: number
  readonly node?: string
}

/** Why a job did not complete: with the shard that it failed by, and what that shard wrote to stderr at its end. `log`: where the log of the node lies, where that is at fault. */
export const jobError = (
  job: Pick<JobView, 'state' | 'failure' | 'reference'>,
  facts: {
    readonly shard?: Culprit | undefined
    readonly stderr?: string
    readonly log?: string | undefined
    readonly remedyOf?: (code: FailureCode) => string
    /** The command that prints what a shard wrote to stderr, where that was not fetched. */
    readonly stderrCommand?: ((shard: number) => string) | undefined
  },
): ResultError | null => {
  if (job.state === 'completed') return null
  const failure = job.failure ?? { code: 'cancelled', detail: '' }
  const { cause } = failures[failure.code]
  const { shard, log } = facts
  const stderr = printable(facts.stderr ?? '').trimEnd()
  const remedy =
    (failure.code === 'exit-nonzero' ? exitRemedy(job, { ...facts, stderr }) : undefined) ?? (facts.remedyOf ?? ((code) => failures[code].remedy))(failure.code)
  return {
    code: failure.code,
    message: failure.detail === '' ? cause : `${cause.replace(/\.$/, '')}: ${printable(failure.detail)}`,
    remedy: log === undefined ? remedy : `${remedy} (${log})`,
    ...(shard && { shard: shard.index }),
    ...(shard?.node !== undefined && { node: shard.node }),
    ...(stderr !== '' && { stderr }),
  }
}

/** How to learn why a program failed, where the files of the result do not tell. */
const exitRemedy = (
  { reference }: Pick<JobView, 'reference'>,
  {
    shard,
    stderr,
    stderrCommand,
  }: { readonly shard?: Culprit | undefined; readonly stderr: string; readonly stderrCommand?: ((shard: number) => string) | undefined },
): string | undefined => {
  const isPublished = reference !== undefined && reference.type !== 'none'
  if (!isPublished && stderr !== '')
    return 'Read the end of its stderr above: nothing of it was published. Give the job a publisher, such as ipfs, to have all of it.'
  if (!isPublished)
    return 'Nothing of what the program wrote was published, and it is gone. Give the job a publisher, such as ipfs: its stderr is part of the result then.'
  return stderrCommand && shard && `Read the shard's stderr: ${stderrCommand(shard.index)}`
}

/** How much of the end of a stderr is told. */
export const stderrBytes = 2048

/** The end of a shard's stderr, out of a result that was fetched; empty where there is none. */
export const stderrIn = (directory: string, shard: number): Promise<string> => tailOf(join(directory, 'shards', String(shard), 'stderr'), stderrBytes)

/** The shard whose failure is the job's, else the first that failed. */
export const culpritOf = (job: Pick<JobView, 'state' | 'failure'>, shards: readonly ShardResult[]): ShardResult | undefined =>
  job.state !== 'failed' ? undefined : (shards.find(({ failure }) => failure?.code === job.failure?.code) ?? shards.find(({ state }) => state === 'failed'))

/** What to do about a failure on an embedded node. */
export const remedyOf = (code: FailureCode): string => remedies[code] ?? failures[code].remedy

// What helps on an embedded node, which its user operates.
const remedies: Readonly<Partial<Record<string, string>>> = {
  'source-forbidden':
    'An address: run it with --allow-private-addresses if it is meant to be private. A file: put it beside the job file or below, readable by you.',
}

/** The exit code of a job that is over. */
export const jobExit = (job: Pick<JobView, 'state' | 'failure'>): ExitCode => {
  if (job.state === 'completed') return exitCodes.completed
  if (job.state === 'cancelled') return exitCodes.cancelled
  const by = job.failure && failures[job.failure.code].by
  return by === 'network' ? exitCodes['no-node'] : by === 'verdict' ? exitCodes['not-accepted'] : exitCodes.failed
}
