import type { JobSpec } from '@skrei/job-spec'
import type { Blob } from './schema/blob.ts'
import type { HistoryItem, Progress } from './schema/history.ts'
import type { Job, JobState, ResultHead, Shard } from './schema/job.ts'
import type { LogChunk, LogPosition, StreamName } from './schema/log.ts'
import type { Health, NodeSummary, NodeView, PeerSummary } from './schema/node.ts'
import type { Plan, Validation } from './schema/plan.ts'

/** Which jobs: newest first, those after `after` (exclusive), at most `limit`. */
export interface JobsWhere {
  readonly after?: string
  readonly limit: number
  readonly state?: JobState
  /** Only ids that begin with it. */
  readonly prefix?: string
}

export interface ShardsPage {
  /** An index, exclusive. */
  readonly after?: number
  readonly limit: number
}

export interface LogsOptions {
  /** Default: 0. */
  readonly shard?: number
  /** Default: both. */
  readonly stream?: StreamName
  /** What the caller has already. */
  readonly from?: LogPosition
  /** Go on until the shard is final, over retries; else what there is now. */
  readonly follow?: boolean
  readonly signal: AbortSignal
}

/** One file of a result. */
export interface ResultFile {
  /** Relative, `/`-separated. */
  readonly path: string
  /** Bytes. */
  readonly size: number
  /** Its bytes from an offset on (default 0). */
  content(options: { readonly from?: number; readonly signal: AbortSignal }): AsyncIterable<Uint8Array>
}

/** One file of a directory that comes in. `content` must be read to its end, or returned, before the next file is asked for: they come in one stream. */
export interface TreeFile {
  /** Relative, `/`-separated, without `.` and `..`. */
  readonly path: string
  /** Bytes. */
  readonly size: number
  readonly content: AsyncIterable<Uint8Array>
}

/**
 * What a node offers through its API: the one thing that whoever puts a node together implements. The shapes are those of the scheduler's views. Job ids are whole ones: the API
 * looks prefixes up by `jobs`. A method refuses by throwing an `ApiError`, or any error whose `code` is one of `apiErrors`; what else it throws is a `node-fault`, told to `onFault`
 * and to the caller only as such.
 *
 * Streams are pulled: nothing is asked for before the client has room for it, and they are returned, with `signal` aborted, when it goes away.
 */
export interface NodeService {
  health(): Health
  node(): NodeView
  /** Those that it knows, itself included. */
  nodes(): readonly NodeSummary[]
  peers(): readonly PeerSummary[]
  /** Of a spec that can be read. */
  validate(spec: JobSpec): Promise<Validation>
  plan(spec: JobSpec, options: { readonly signal: AbortSignal }): Promise<Plan>
  /** Durable once it resolves. The same key with the same spec: the same job, and `created: false`. Refuses with `key-reused`, `draining`, `not-enough-nodes`… */
  submit(spec: JobSpec, options: { readonly key?: string }): Promise<{ readonly id: string; readonly created: boolean }>
  /** Newest first. */
  jobs(where: JobsWhere): readonly Job[]
  job(id: string): Job | undefined
  spec(id: string): JobSpec | undefined
  shards(id: string, page: ShardsPage): readonly Shard[]
  /** Resolves once the job is final; rejects with the signal's reason. */
  finished(id: string, options: { readonly signal: AbortSignal }): Promise<Job>
  /** Entries after a sequence; with `follow` (default) on as they happen, to what ended the job, else those that there are now. */
  history(id: string, options: { readonly after?: number; readonly follow?: boolean; readonly signal: AbortSignal }): AsyncIterable<HistoryItem>
  /** Tells of hints from now on. */
  progress(id: string, listener: (progress: Progress) => void): Disposable
  logs(id: string, options: LogsOptions): AsyncIterable<LogChunk>
  /** Asks for the job to be cancelled; no-op on a final one. */
  stop(id: string): Promise<void>
  /** Of a job that is not final: as far as it is known. */
  result(id: string): ResultHead | undefined
  /** The files of a composed result in byte order of their paths; with `path` that file alone, or those below that directory. Refuses with `result-not-there`. */
  files(id: string, options: { readonly path?: string; readonly signal: AbortSignal }): AsyncIterable<ResultFile>
  /** Keeps one file. Refuses with `blobs-off`. */
  addBlob(content: AsyncIterable<Uint8Array>, options: { readonly signal: AbortSignal }): Promise<Blob>
  /** Keeps a directory. Refuses with `blobs-off`. */
  addTree(files: AsyncIterable<TreeFile>, options: { readonly signal: AbortSignal }): Promise<Blob>
  /** In Prometheus' text format. */
  metrics(): Promise<string>
}
