import type { Failure } from '@skrei/job-spec'
import type { JobState, Scheduler, SchedulerEvent } from '@skrei/scheduler'
import type { Problem } from './cli-errors.ts'

/** What a shard is doing, for people and scripts: fewer words than the machines have. */
export type ShardState = 'waiting' | 'staging' | 'running' | 'publishing' | 'retrying' | 'completed' | 'failed' | 'cancelled'

/** The JSON events of `skrei run --json`, one a line; documented in the README, and what the progress display is made from. */
export type CliEvent =
  | { readonly type: 'submitted'; readonly jobId: string; readonly name: string; readonly specCid: string; readonly node: string }
  | { readonly type: 'job'; readonly jobId: string; readonly state: JobState }
  | { readonly type: 'planned'; readonly jobId: string; readonly shards: number }
  | { readonly type: 'shard'; readonly jobId: string; readonly shard: number; readonly state: ShardState; readonly node?: string; readonly failure?: Failure }
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

// States of the machines and phases of hints, in the words of ShardState. What is not here changes nothing that is shown.
const shardStates: Readonly<Record<string, Readonly<Record<string, ShardState>>>> = {
  shard: { placing: 'waiting', choosing: 'waiting', waiting: 'waiting', backoff: 'retrying', completed: 'completed', failed: 'failed', cancelled: 'cancelled' },
  execution: { running: 'staging', accepted: 'publishing', matching: 'publishing' },
  compute: { staging: 'staging', running: 'running', finished: 'publishing', publishing: 'publishing' },
}

/**
 * Turns what a scheduler tells of its one job into the events of the command line, each change once. Nothing is told before `submitted`, which names the job;
 * call this before submitting, so that nothing is missed.
 */
export const jobEvents = (scheduler: Scheduler, emit: (event: CliEvent) => void): Disposable & { submitted(jobId: string): void } => {
  const states = new Map<number, ShardState>()
  /** Which shard an execution is of: what a compute node says of it names only the execution. */
  const shards = new Map<string, number>()
  const early: SchedulerEvent[] = []
  let jobId: string | undefined
  let planned = false

  const setShard = (job: string, shard: number, state: ShardState, node: string | undefined, failure: Failure | undefined): void => {
    if (states.get(shard) === state) return
    states.set(shard, state)
    emit({ type: 'shard', jobId: job, shard, state, ...(node !== undefined && { node }), ...(failure !== undefined && { failure }) })
    if (isFinal(state)) states.delete(shard)
  }

  const tell = (event: SchedulerEvent): void => {
    if (event.type === 'transition' && event.transition.kind === 'compute') {
      const shard = shards.get(event.transition.id)
      const state = shardStates['compute']?.[event.transition.to]
      if (jobId !== undefined && shard !== undefined && state !== undefined && states.has(shard)) setShard(jobId, shard, state, event.node, undefined)
      return
    }
    if (event.type === 'duplicate-identity' || event.job === undefined || event.job !== jobId) return
    if (event.type === 'progress') {
      const state = shardStates['compute']?.[event.phase]
      if (state !== undefined && states.has(event.shard)) setShard(event.job, event.shard, state, event.node, undefined)
      const { phase, fraction } = event
      emit({ type: 'progress', jobId: event.job, shard: event.shard, phase, ...(fraction !== undefined && { fraction }) })
      return
    }
    const { transition, shard, node } = event
    if (transition.from === transition.to) return
    if (transition.kind === 'job') {
      emit({ type: 'job', jobId: event.job, state: transition.to as JobState })
      const counts = scheduler.job(event.job)?.shards
      if (!planned && transition.to === 'running' && counts !== undefined) {
        planned = true
        emit({ type: 'planned', jobId: event.job, shards: counts.total })
      }
      return
    }
    if (transition.kind === 'execution' && shard !== undefined) {
      if (transition.open) shards.set(transition.id, shard)
      else shards.delete(transition.id)
    }
    const state = shardStates[transition.kind]?.[transition.to]
    // What an execution says after its shard has ended is about cleaning up.
    if (state === undefined || shard === undefined || (transition.kind !== 'shard' && !states.has(shard))) return
    setShard(event.job, shard, state, node, state === 'failed' ? failureIn(transition.context) : undefined)
  }

  const watching = scheduler.watch((event) => {
    if (jobId === undefined) early.push(event)
    else tell(event)
  })
  return {
    submitted: (id) => {
      jobId = id
      for (const event of early.splice(0)) tell(event)
    },
    [Symbol.dispose]: () => watching[Symbol.dispose](),
  }
}

export const isFinal = (state: ShardState): boolean => state === 'completed' || state === 'failed' || state === 'cancelled'

const failureIn = (context: unknown): Failure | undefined =>
  typeof context === 'object' && context !== null && 'failure' in context ? (context.failure as Failure | undefined) : undefined
