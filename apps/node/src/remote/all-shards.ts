import type { ApiClient, Shard } from '@skrei/api/client'

const pageSize = 500

/** The shards of a job that were opened, by their index, a page at a time. */
export async function* allShards(client: ApiClient, jobId: string, options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<Shard> {
  for (let after: number | undefined; ; ) {
    const page = await client.shards(jobId, { ...options, limit: pageSize, ...(after !== undefined && { after }) })
    yield* page.shards
    if (page.next === undefined) return
    after = page.next
  }
}

/** Looked at for the shard that a job failed by. */
const mostSearched = 10_000

/** The first shard that failed as the job did, else the first that failed. */
export const failedShard = async (
  client: ApiClient,
  jobId: string,
  code: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Shard | undefined> => {
  let failed: Shard | undefined
  let seen = 0
  for await (const shard of allShards(client, jobId, options)) {
    if (shard.failure?.code === code) return shard
    if (failed === undefined && shard.state === 'failed') failed = shard
    seen += 1
    if (seen >= mostSearched) break
  }
  return failed
}
