import type { Failure, Refusal } from '@skrei/job-spec'
import type { JobState, JobView } from '@skrei/scheduler'
import type { Problem } from './cli-errors.ts'

/** What a shard is doing, for people and scripts: fewer words than the machines have. */
export type ShardState = 'waiting' | 'staging' | 'running' | 'publishing' | 'retrying' | 'completed' | 'failed' | 'cancelled'

/** The JSON events of `skrei run --json`, one a line; documented in the README, and what the progress display is made from. */
export type CliEvent =
  /** Files of this machine on their way to the node, in bytes so far; before `submitted`. */
  | { readonly type: 'uploading'; readonly bytes: number }
  | { readonly type: 'submitted'; readonly jobId: string; readonly name: string; readonly specCid: string; readonly node: string }
  | { readonly type: 'job'; readonly jobId: string; readonly state: JobState }
  | { readonly type: 'planned'; readonly jobId: string; readonly shards: number }
  | {
      readonly type: 'shard'
      readonly jobId: string
      readonly shard: number
      readonly state: ShardState
      readonly node?: string
      readonly failure?: Failure
      /** Of one that waits: why no node takes it now, other than that all are busy. */
      readonly refusals?: readonly Refusal[]
    }
  | { readonly type: 'progress'; readonly jobId: string; readonly shard: number; readonly phase: string; readonly fraction?: number }
  | { readonly type: 'fetching'; readonly jobId: string; readonly bytes: number }
  | ResultEvent

/** Always the last line. `state` and `jobId` are null where no job came to be. */
export interface ResultEvent {
  readonly type: 'result'
  readonly jobId: string | null
  readonly state: 'completed' | 'failed' | 'cancelled' | null
  readonly results: { readonly cid: string | null; readonly path: string | null }
  readonly error: ResultError | null
}

/** The first thing that went wrong, and all of them where there are several. */
export interface ResultError extends Problem {
  readonly problems?: readonly Problem[]
  readonly shard?: number
  readonly node?: string
  /** The end of the failed shard's stderr. */
  readonly stderr?: string
}

/** What a requester tells of one job, embedded or over the API: a change of its history, or a hint of how far an execution is. */
export type JobSignal =
  | {
      readonly type: 'changed'
      readonly kind: string
      readonly shard?: number
      readonly node?: string
      readonly from?: string
      readonly to: string
      /** Of a job that runs: how many shards it has. */
      readonly shards?: number
      /** Of a shard that failed, or is tried again. */
      readonly failure?: Failure
      /** Of a shard that waits for a node: why those that were asked do not take it now. */
      readonly refusals?: readonly Refusal[]
    }
  | { readonly type: 'progress'; readonly shard: number; readonly node: string; readonly phase: string; readonly fraction?: number }

/** How a job ended, as the last line tells it. `path`: where its result was fetched to. */
export const resultEvent = (job: JobView, path: string | null, error: ResultError | null): ResultEvent => ({
  type: 'result',
  jobId: job.id,
  state: job.state === 'completed' || job.state === 'cancelled' ? job.state : 'failed',
  results: { cid: job.reference?.cid ?? null, path },
  error,
})

// States of the machines and phases of hints, in the words of ShardState. What is not here changes nothing that is shown.
const shardStates: Readonly<Record<string, Readonly<Record<string, ShardState>>>> = {
  shard: { placing: 'waiting', choosing: 'waiting', waiting: 'waiting', backoff: 'retrying', completed: 'completed', failed: 'failed', cancelled: 'cancelled' },
  execution: { running: 'staging', accepted: 'publishing', matching: 'publishing' },
  compute: { staging: 'staging', running: 'running', finished: 'publishing', publishing: 'publishing' },
}

/** That everybody has enough to do is no news. */
const ordinary: ReadonlySet<string> = new Set(['busy', 'queue-full'])

/** How far an execution is. A hint that comes late takes nothing back. */
const order: readonly ShardState[] = ['staging', 'running', 'publishing']

/** Turns what a requester tells of a job into the events of the command line, each change once. */
export const jobEvents = (jobId: string, emit: (event: CliEvent) => void): ((signal: JobSignal) => void) => {
  const states = new Map<number, ShardState>()
  /** Why shards wait, as it was told last. */
  const reasons = new Map<number, string>()
  /** Hints that came before the news that they are about. */
  const early = new Map<number, { readonly node: string; readonly state: ShardState }>()
  let planned = false

  const setShard = (shard: number, state: ShardState, node: string | undefined, failure: Failure | undefined, told: readonly Refusal[] = []): void => {
    const refusals = told.filter(({ code }) => !ordinary.has(code))
    const reason = refusals.map(({ code, detail }) => `${code} ${detail}`).join()
    if (states.get(shard) === state && (reason === '' || reason === reasons.get(shard))) return
    states.set(shard, state)
    if (reason !== '') reasons.set(shard, reason)
    emit({
      type: 'shard',
      jobId,
      shard,
      state,
      ...(node !== undefined && { node }),
      ...(failure !== undefined && { failure }),
      ...(refusals.length > 0 && { refusals }),
    })
    if (!isFinal(state)) return
    states.delete(shard)
    reasons.delete(shard)
    early.delete(shard)
  }

  const hinted = (shard: number, node: string, state: ShardState): void => {
    const now = states.get(shard)
    if (now === undefined) return
    if (!order.includes(now)) early.set(shard, { node, state })
    else if (order.indexOf(state) > order.indexOf(now)) setShard(shard, state, node, undefined)
  }

  return (signal) => {
    if (signal.type === 'progress') {
      const { shard, node, phase, fraction } = signal
      if (!states.has(shard)) return
      const state = shardStates['compute']?.[phase]
      if (state !== undefined) hinted(shard, node, state)
      emit({ type: 'progress', jobId, shard, phase, ...(fraction !== undefined && { fraction }) })
      return
    }
    const { kind, shard, node, from, to, shards, failure, refusals } = signal
    if (from === to) return
    if (kind === 'job') {
      emit({ type: 'job', jobId, state: to as JobState })
      if (planned || to !== 'running' || shards === undefined) return
      planned = true
      emit({ type: 'planned', jobId, shards })
      return
    }
    const state = shardStates[kind]?.[to]
    // What an execution says after its shard has ended is about cleaning up.
    if (state === undefined || shard === undefined || (kind !== 'shard' && !states.has(shard))) return
    setShard(shard, state, node, failure, refusals)
    if (kind !== 'execution') return
    const hint = early.get(shard)
    early.delete(shard)
    if (hint !== undefined && hint.node === node) hinted(shard, hint.node, hint.state)
  }
}

export const isFinal = (state: ShardState): boolean => state === 'completed' || state === 'failed' || state === 'cancelled'
