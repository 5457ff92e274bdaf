import type { Failure } from '@skrei/job-spec'
import type { Data, Reader, Row } from '@skrei/state-store'
import type { Output } from '../kernel/event.ts'
import type { ExecutionContext } from './execution.ts'
import type { JobContext } from './job.ts'
import type { ShardContext } from './shard.ts'

/** The end of an object whose machine broke: made without the machine, so that it cannot break again. */
export interface BrokenOff {
  readonly state: string
  readonly context: Data
  readonly outputs: readonly Output[]
}

type BreakOff = (reader: Reader, row: Row, detail: string) => BrokenOff

/** More than any window. */
const mostOpen = 100_000

const failureOf = (detail: string): Failure => ({ code: 'node-fault', detail: detail.slice(0, 1000) })
const dataOf = (context: object): Data => context as unknown as Data
const stopOpen = (reader: Reader, kind: 'shard' | 'execution', parent: string): readonly Output[] =>
  reader.list(kind, { parent, open: true, limit: mostOpen }).map(({ id }) => ({ do: 'tell', kind, id, event: { type: 'stop' } }))

/** Nothing is composed: that would need the machine. Its result is what `result` says. */
export const breakOffJob: BreakOff = (reader, { id, data }, detail) => {
  const context = data as unknown as JobContext
  return { state: 'failed', context: dataOf({ ...context, failure: context.failure ?? failureOf(detail) }), outputs: stopOpen(reader, 'shard', id) }
}

export const breakOffShard: BreakOff = (reader, { id, data }, detail) => {
  const context = data as unknown as ShardContext
  const failure = failureOf(detail)
  const event = { type: 'shard-ended', index: context.index, outcome: 'failed', failure }
  return {
    state: 'failed',
    context: dataOf({ ...context, failure }),
    outputs: [...stopOpen(reader, 'execution', id), { do: 'tell', kind: 'job', id: context.jobId, event }],
  }
}

/** As one that was lost: its node is told to let go, its shard may try again. */
export const breakOffExecution: BreakOff = (_reader, { data }, detail) => {
  const context = data as unknown as ExecutionContext
  const failure = failureOf(detail)
  return {
    state: 'lost',
    context: dataOf({ ...context, failure }),
    outputs: [
      { do: 'send', to: context.node, expires: 4 * context.times.lease, type: 'stop', body: { execution: context.id, reason: 'lost' } },
      { do: 'tell', kind: 'shard', id: context.shardId, event: { type: 'execution-ended', execution: context.id, outcome: 'lost', failure } },
    ],
  }
}
