import type { ApiClient, HistoryItem, Shard } from '@skrei/api/client'
import type { JobSignal } from '../job-events.ts'

type Change = Extract<HistoryItem, { readonly to: string }>

/** What a node tells of a job, from the beginning to its end, over connections that may break. What a history does not hold is asked for. */
export async function* remoteSignals(client: ApiClient, jobId: string, options: { readonly signal?: AbortSignal }): AsyncGenerator<JobSignal> {
  let planned = false
  let askedAt = Number.NEGATIVE_INFINITY
  const isAsked = (to: string): boolean => {
    if (to !== 'waiting') return to === 'failed' || to === 'backoff'
    if (performance.now() - askedAt < askedAfter) return false
    askedAt = performance.now()
    return true
  }
  for await (const event of client.events(jobId, options)) {
    if (event.type === 'progress') {
      yield { type: 'progress', ...event.progress }
      continue
    }
    const { item } = event
    if (!('to' in item)) continue
    const { kind, shard, node, from, to }: Change = item
    const isPlanned: boolean = kind === 'job' && to === 'running' && !planned
    const total = isPlanned ? (await client.job(jobId, options)).shards?.total : undefined
    planned ||= isPlanned
    const why = kind === 'shard' && shard !== undefined && isAsked(to) ? await reasonOf(client, jobId, { shard, to }, options) : {}
    yield {
      type: 'changed',
      kind,
      to,
      ...(shard !== undefined && { shard }),
      ...(node !== undefined && { node }),
      ...(from !== undefined && { from }),
      ...(total !== undefined && { shards: total }),
      ...why,
    }
  }
}

/** Milliseconds between two questions why a shard waits: one that waits is asked for again and again, and there may be many. */
const askedAfter = 2000

/** Why a shard failed, is tried again, or waits. */
const reasonOf = async (
  client: ApiClient,
  jobId: string,
  { shard: index, to }: { readonly shard: number; readonly to: string },
  options: { readonly signal?: AbortSignal },
): Promise<Pick<Extract<JobSignal, { type: 'changed' }>, 'failure' | 'refusals'>> => {
  const [shard] = (await client.shards(jobId, { ...options, limit: 1, ...(index > 0 && { after: index - 1 }) })).shards
  if (shard?.index !== index) return {}
  if (to === 'waiting') return shard.refusals === undefined ? {} : { refusals: shard.refusals }
  const failure = to === 'failed' ? shard.failure : lastFailure(shard)
  return failure === undefined ? {} : { failure }
}

const lastFailure = ({ executions }: Shard): Shard['failure'] => executions.findLast(({ failure }) => failure !== undefined)?.failure
