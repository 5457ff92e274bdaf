import type { Failure, Refusal } from '@skrei/job-spec'
import type { Scheduler, SchedulerEvent } from '@skrei/scheduler'
import type { JobSignal } from './job-events.ts'

/**
 * What an embedded scheduler tells of its one job. Nothing is told before `submitted`, which names the job; call this before submitting, so that nothing is missed.
 * The compute role is in the same process, so what it does is known at once, not with the next heartbeat.
 */
export const embeddedSignals = (scheduler: Scheduler): Disposable & { submitted(jobId: string, tell: (signal: JobSignal) => void): void } => {
  /** Which shard an execution is of: what a compute node says of it names only the execution. */
  const shards = new Map<string, number>()
  const early: SchedulerEvent[] = []
  let told: ((event: SchedulerEvent) => void) | undefined

  const watching = scheduler.watch((event) => {
    if (told === undefined) early.push(event)
    else told(event)
  })

  const signalOf = (jobId: string, event: SchedulerEvent): JobSignal | undefined => {
    if (event.type === 'progress') {
      if (event.job !== jobId) return undefined
      const { shard, node, phase, fraction } = event
      return { type: 'progress', shard, node, phase, ...(fraction !== undefined && { fraction }) }
    }
    if (event.type !== 'transition') return undefined
    const { id, kind, from, to, open, context } = event.transition
    if (kind === 'compute') {
      const shard = shards.get(id)
      return shard === undefined ? undefined : { type: 'progress', shard, node: scheduler.nodeId, phase: to }
    }
    if (event.job !== jobId) return undefined
    if (kind === 'execution' && event.shard !== undefined) {
      if (open) shards.set(id, event.shard)
      else shards.delete(id)
    }
    const total = kind === 'job' && to === 'running' ? scheduler.job(jobId)?.shards?.total : undefined
    const failure = kind === 'shard' ? failureIn(context as ShardFailures, to) : undefined
    const refusals = kind === 'shard' && to === 'waiting' ? refusalsOf(scheduler, jobId, event.shard) : undefined
    return {
      type: 'changed',
      kind,
      to,
      ...(event.shard !== undefined && { shard: event.shard }),
      ...(event.node !== undefined && { node: event.node }),
      ...(from !== undefined && { from }),
      ...(total !== undefined && { shards: total }),
      ...(failure !== undefined && { failure }),
      ...(refusals !== undefined && { refusals }),
    }
  }

  return {
    submitted: (jobId, tell) => {
      told = (event) => {
        const signal = signalOf(jobId, event)
        if (signal !== undefined) tell(signal)
      }
      for (const event of early.splice(0)) told(event)
    },
    [Symbol.dispose]: () => watching[Symbol.dispose](),
  }
}

const refusalsOf = (scheduler: Scheduler, jobId: string, index: number | undefined): readonly Refusal[] | undefined => {
  if (index === undefined) return undefined
  const [shard] = scheduler.shards(jobId, { limit: 1, ...(index > 0 && { after: index - 1 }) })
  return shard?.index === index ? shard.refusals : undefined
}

/** What a shard's context says of what went wrong. */
interface ShardFailures {
  readonly failure?: Failure
  readonly executions?: readonly { readonly failure?: Failure }[]
}

/** Why a shard failed, or is tried again. */
const failureIn = ({ failure, executions = [] }: ShardFailures, to: string): Failure | undefined => {
  if (to === 'failed') return failure
  return to === 'backoff' ? executions.findLast((execution) => execution.failure !== undefined)?.failure : undefined
}
