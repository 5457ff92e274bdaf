import { type JobSpec, type Reference, resolve } from '@skrei/job-spec'
import type { Reader } from '@skrei/state-store'
import type { JobContext } from '../machines/job.ts'
import type { ShardContext } from '../machines/shard.ts'
import type { JobResult, JobResultHead, JobState, ShardResult } from '../options.ts'
import { shardAs } from './job-views.ts'
import type { LogFetcher } from './logs.ts'

const pageSize = 500

/** The job's shards that were opened, in order of their index, a page of rows at a time. */
function* shardsOf(
  read: <T>(work: (reader: Reader) => T) => T,
  jobId: string,
): Generator<{ readonly state: string; readonly open: boolean; readonly shard: ShardContext }> {
  for (let after: string | undefined; ; ) {
    const rows = read((reader) => reader.list('shard', { parent: jobId, ...(after !== undefined && { after }), limit: pageSize }))
    for (const row of rows) yield { state: row.state, open: row.open, shard: row.data as unknown as ShardContext }
    const last = rows.at(-1)
    if (last === undefined || rows.length < pageSize) return
    after = last.id
  }
}

/** Of `result.json`, all but the shards: what does not grow with their number. */
export const jobHead = (reader: Reader, jobId: string): JobResultHead | undefined => {
  const row = reader.get('job', jobId)
  if (row === undefined) return undefined
  const job = row.data as unknown as JobContext
  const { stdout, stderr } = resolve(reader.get('spec', jobId)?.data as unknown as JobSpec).limits
  const { total, completed, failed, cancelled } = job.shards
  return {
    jobId,
    name: job.name,
    specCid: job.specCid,
    state: outcomeOf(row.state as JobState, job),
    ...(job.failure && { failure: job.failure }),
    ...(job.manifest !== undefined && { manifest: job.manifest, counts: { total, completed, failed, cancelled } }),
    limits: { stdout, stderr },
  }
}

function* shardResults(read: <T>(work: (reader: Reader) => T) => T, jobId: string): Generator<ShardResult> {
  for (const { state, open, shard } of shardsOf(read, jobId)) if (!open) yield shardAs(state as ShardResult['state'], shard)
}

/** What `result.json` holds, in memory: for jobs whose shards fit there. */
export const jobResult = (read: <T>(work: (reader: Reader) => T) => T, jobId: string): JobResult | undefined => {
  const head = read((reader) => jobHead(reader, jobId))
  return head && { ...head, shards: [...shardResults(read, jobId)] }
}

const charactersPerChunk = 64 * 1024

/** The bytes of `result.json`, as `JSON.stringify` would write them: a million shards are longer than a text may be. */
export async function* resultBytes(read: <T>(work: (reader: Reader) => T) => T, jobId: string): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder()
  const head = read((reader) => jobHead(reader, jobId))
  let text = head === undefined ? '{\n' : `${JSON.stringify(head, undefined, 2).slice(0, -2)},\n`
  text += '  "shards": ['
  let separator = '\n'
  for (const shard of shardResults(read, jobId)) {
    text += `${separator}    ${JSON.stringify(shard, undefined, 2).replaceAll('\n', '\n    ')}`
    separator = ',\n'
    if (text.length < charactersPerChunk) continue
    yield encoder.encode(text)
    text = ''
  }
  yield encoder.encode(`${text}${separator === '\n' ? ']' : '\n  ]'}\n}\n`)
}

/** What the result says while it is composed is what the job will be. */
const outcomeOf = (state: JobState, job: JobContext): JobState => {
  if (state !== 'composing') return state
  return job.cancelled ? 'cancelled' : job.failure ? 'failed' : 'completed'
}

/**
 * The layout of every result: `result.json`, and what each shard published under `shards/<index>/`; of a shard without a result, under `shards/<index>/logs/` what its last
 * execution wrote until it was stopped, as far as `logs` can be had.
 */
export async function* resultEntries(
  read: <T>(work: (reader: Reader) => T) => T,
  jobId: string,
  logs: LogFetcher,
): AsyncGenerator<{ readonly path: string; readonly content: Reference | AsyncIterable<Uint8Array> }> {
  for (const { shard } of shardsOf(read, jobId)) {
    const path = `shards/${shard.index}`
    if (shard.reference !== undefined && shard.reference.type !== 'none') yield { path, content: shard.reference }
    else if (shard.reference === undefined && shard.logs !== undefined)
      for (const file of await logs.fetch(`${jobId}-${shard.index}`, shard.logs)) yield { path: `${path}/logs/${file.path}`, content: file.content }
  }
  yield { path: 'result.json', content: resultBytes(read, jobId) }
}
