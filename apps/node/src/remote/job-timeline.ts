import type { ApiClient, HistoryItem, Shard } from '@skrei/api/client'
import type { Failure, Refusal } from '@skrei/job-spec'
import { allShards } from './all-shards.ts'

/** One attempt of a shard: where, from when to when (milliseconds since the Unix epoch), and what came of it. */
export interface TimelineExecution {
  readonly id: string
  readonly node: string
  /** Absent: the history was too long to be read to it. */
  readonly startedAt?: number
  /** Absent: it goes on. */
  readonly endedAt?: number
  readonly outcome: string
  readonly failure?: Failure
}

export interface TimelineShard {
  readonly index: number
  readonly state: string
  readonly failure?: Failure
  /** Of one that waits for a node: why those that were asked last do not take it now. */
  readonly refusals?: readonly Refusal[]
  readonly executions: readonly TimelineExecution[]
}

export interface JobTimeline {
  /** The job's own states, and when it entered them. */
  readonly states: readonly { readonly state: string; readonly at: number }[]
  readonly shards: readonly TimelineShard[]
  /** Whether there are more shards, or a longer history, than were read. */
  readonly cut: boolean
}

/** Read at most: a job may have a million shards. */
const most = { shards: 2000, items: 50_000 }
const finalStates: ReadonlySet<string> = new Set(['completed', 'failed', 'refused', 'lost', 'stopped'])

/** What became of a job until now, from its shards and its history. */
export const jobTimeline = async (client: ApiClient, jobId: string, options: { readonly signal: AbortSignal }): Promise<JobTimeline> => {
  const shards: Shard[] = []
  let cut = false
  for await (const shard of allShards(client, jobId, options)) {
    if (shards.length >= most.shards) {
      cut = true
      break
    }
    shards.push(shard)
  }
  const wanted = new Set(shards.flatMap(({ executions }) => executions.map(({ id }) => id)))
  const states: { state: string; at: number }[] = []
  const times = new Map<string, { startedAt: number; endedAt?: number }>()
  let items = 0
  for await (const event of client.events(jobId, { ...options, follow: false })) {
    if (event.type !== 'history') continue
    items += 1
    if (items > most.items) {
      cut = true
      break
    }
    noteItem(event.item, wanted, states, times)
  }
  return {
    states,
    shards: shards.map(({ index, state, failure, refusals, executions }) => ({
      index,
      state,
      ...(failure !== undefined && { failure }),
      ...(refusals !== undefined && { refusals }),
      executions: executions.map((execution) => ({ ...execution, ...times.get(execution.id) })),
    })),
    cut,
  }
}

const noteItem = (
  item: HistoryItem,
  wanted: ReadonlySet<string>,
  states: { state: string; at: number }[],
  times: Map<string, { startedAt: number; endedAt?: number }>,
): void => {
  if (!('to' in item) || item.from === item.to) return
  const { kind, id, at, to } = item
  if (kind === 'job') states.push({ state: to, at })
  if (kind !== 'execution' || !wanted.has(id)) return
  const known = times.get(id)
  if (known === undefined) times.set(id, { startedAt: at })
  else if (finalStates.has(to)) known.endedAt = at
}
