import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ApiClient, Job } from '@skrei/api/client'
import type { ResultDirectory } from '../result-directory.ts'
import { allShards } from './all-shards.ts'
import { writeTree } from './write-tree.ts'

export interface FetchRemoteOptions {
  readonly signal: AbortSignal
  /** Bytes so far. */
  readonly progress: (bytes: number) => void
}

const tellEvery = 4 * 1024 * 1024

/** Writes the result of a job that is over into a directory. A job that published nothing leaves its `result.json` alone. */
export const fetchRemoteResult = async (client: ApiClient, job: Job, into: ResultDirectory, { signal, progress }: FetchRemoteOptions): Promise<void> => {
  if (job.reference === undefined || job.reference.type === 'none') {
    await pipeline(Readable.from(resultText(client, job.id, signal)), createWriteStream(join(into.path, 'result.json'), { flags: 'wx' }), { signal })
    return
  }
  let told = 0
  for await (const bytes of writeTree(client.archive(job.id, { signal }), into.path, { signal })) {
    if (bytes - told < tellEvery) continue
    told = bytes
    progress(bytes)
  }
}

/** `result.json`, a shard at a time: there may be a million. */
async function* resultText(client: ApiClient, jobId: string, signal: AbortSignal): AsyncGenerator<string> {
  const { reference: _, ...head } = await client.result(jobId, { signal })
  yield `${JSON.stringify(head, null, 2).slice(0, -2)},\n  "shards": [`
  let separator = '\n'
  for await (const { open: _open, ...shard } of allShards(client, jobId, { signal })) {
    yield `${separator}    ${JSON.stringify(shard)}`
    separator = ',\n'
  }
  yield '\n  ]\n}\n'
}
