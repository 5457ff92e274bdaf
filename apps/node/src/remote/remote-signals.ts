import type { ApiClient, HistoryItem } from '@skrei/api/client'
import type { Failure } from '@skrei/job-spec'
import type { JobSignal } from '../job-events.ts'

type Change = Extract<HistoryItem, { readonly to: string }>

/** What a node tells of a job, from the beginning to its end, over connections that may break. What a history does not hold is asked for. */
export async function* remoteSignals(client: ApiClient, jobId: string, options: { readonly signal?: AbortSignal }): AsyncGenerator<JobSignal> {
  let planned = false
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
    const failure = kind === 'shard' && shard !== undefined ? await failureOf(client, jobId, { shard, to }, options) : undefined
    yield {
      type: 'changed',
      kind,
      to,
      ...(shard !== undefined && { shard }),
      ...(node !== undefined && { node }),
      ...(from !== undefined && { from }),
      ...(total !== undefined && { shards: total }),
      ...(failure !== undefined && { failure }),
    }
  }
}

/** Why a shard failed, or is tried again. */
const failureOf = async (
  client: ApiClient,
  jobId: string,
  { shard: index, to }: { readonly shard: number; readonly to: string },
  options: { readonly signal?: AbortSignal },
): Promise<Failure | undefined> => {
  if (to !== 'failed' && to !== 'backoff') return undefined
  const [shard] = (await client.shards(jobId, { ...options, limit: 1, ...(index > 0 && { after: index - 1 }) })).shards
  if (shard?.index !== index) return undefined
  return to === 'failed' ? shard.failure : shard.executions.findLast(({ failure }) => failure !== undefined)?.failure
}
