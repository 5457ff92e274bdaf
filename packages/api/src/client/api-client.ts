import type { JobFile } from '@skrei/job-spec'
import type { Blob as Kept } from '../schema/blob.ts'
import type { HistoryItem, Progress } from '../schema/history.ts'
import type { Job, JobPage, JobState, ResultHead, ShardPage } from '../schema/job.ts'
import type { LogChunk, LogPosition, StreamName } from '../schema/log.ts'
import type { Health, NodeSummary, NodeView, PeerSummary } from '../schema/node.ts'
import type { Plan, Validation } from '../schema/plan.ts'

export interface CallOptions {
  /** Ends the call, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

/** What happens to a job. `history` comes once each, in order; `progress` is a hint and may be lost. */
export type JobEvent = { readonly type: 'history'; readonly item: HistoryItem } | { readonly type: 'progress'; readonly progress: Progress }

/** Bytes to send: at once, out of a file that a page was given (`File` is a `Blob`), or as they come: in browsers, bodies that stream need HTTP/2, which they have with TLS only. */
export type Content = Uint8Array<ArrayBuffer> | Blob | AsyncIterable<Uint8Array>

/** One file to send: exactly `size` bytes. */
export interface UploadFile {
  /** Relative, `/`-separated, without `.` and `..`. */
  readonly path: string
  readonly size: number
  readonly content: Content
}

/**
 * A node, over HTTP. Every call rejects with an `ApiError` (branch on its `code`), or with the signal's reason. An `id` is a job id, or what at least 4 characters of one begin with.
 * A job is text, YAML or JSON: `JSON.stringify` of a job file's fields, or `printJob` of @skrei/job-spec for a spec.
 */
export interface ApiClient {
  /** Without a slash at its end. */
  readonly url: string
  health(options?: CallOptions): Promise<Health>
  node(options?: CallOptions): Promise<NodeView>
  nodes(options?: CallOptions): Promise<readonly NodeSummary[]>
  peers(options?: CallOptions): Promise<readonly PeerSummary[]>
  validate(job: string, options?: CallOptions): Promise<Validation>
  plan(job: string, options?: CallOptions): Promise<Plan>
  /**
   * Accepted, and durable, once it resolves. With a `key` (1 to 256 printable ASCII characters), submitting the same again gives the same job, `created: false`; a lost connection is then tried again.
   * `wait`: seconds, 0 to 60: resolves when the job is final or after that time.
   */
  submit(job: string, options?: CallOptions & { readonly key?: string; readonly wait?: number }): Promise<{ readonly job: Job; readonly created: boolean }>
  /** Newest first. `limit`: 1 to 1000, default 100; go on with `after: page.next`. */
  jobs(where?: CallOptions & { readonly after?: string; readonly limit?: number; readonly state?: JobState; readonly prefix?: string }): Promise<JobPage>
  /** `wait`: seconds, 0 to 60: resolves when the job is final or after that time. */
  job(id: string, options?: CallOptions & { readonly wait?: number }): Promise<Job>
  /** Resolves once the job is final, however long it takes; lost connections are tried again. */
  finished(id: string, options?: CallOptions): Promise<Job>
  /** As a job file says it: quantities and durations are texts. */
  spec(id: string, options?: CallOptions): Promise<JobFile>
  /** By index; `limit`: 1 to 1000, default 100. */
  shards(id: string, page?: CallOptions & { readonly after?: number; readonly limit?: number }): Promise<ShardPage>
  /**
   * What happened since `after` (a sequence; default: from the beginning), and on as it happens, until the job's end; goes on by itself where a connection broke. With `follow: false` only what there is now.
   */
  events(id: string, options?: CallOptions & { readonly after?: number; readonly follow?: boolean }): AsyncIterable<JobEvent>
  /** What a shard (default 0) wrote; with `follow`, on until it is final; goes on by itself where a connection broke, so that each byte comes once. */
  logs(
    id: string,
    options?: CallOptions & { readonly shard?: number; readonly stream?: StreamName; readonly follow?: boolean; readonly from?: LogPosition },
  ): AsyncIterable<LogChunk>
  /** Asks for the job to be cancelled: it is once every execution has stopped. */
  stop(id: string, options?: CallOptions): Promise<void>
  result(id: string, options?: CallOptions): Promise<ResultHead>
  /** One file of a result, from byte `from` on (default 0). `size` is that of the whole file. */
  resultFile(
    id: string,
    path: string,
    options?: CallOptions & { readonly from?: number },
  ): Promise<{ readonly size: number; readonly content: AsyncIterable<Uint8Array> }>
  /** The whole result, as a tar archive. */
  archive(id: string, options?: CallOptions): AsyncIterable<Uint8Array>
  /** Keeps one file on the node, for a source of type `ipfs`. */
  addBlob(content: Content, options?: CallOptions): Promise<Kept>
  /** Keeps a directory on the node. An array of files none of whose contents stream is sent at once, which any browser can. */
  addTree(files: Iterable<UploadFile> | AsyncIterable<UploadFile>, options?: CallOptions): Promise<Kept>
  /** In Prometheus' text format. */
  metrics(options?: CallOptions): Promise<string>
}

export interface ApiClientOptions {
  /** Such as `http://127.0.0.1:1212`. */
  readonly url: string
  /** Default: the global one. */
  readonly fetch?: typeof fetch
  /** How often and how patiently a broken connection is made again. */
  readonly retry?: {
    /** Tries in a row without anything coming, default 8. */
    readonly attempts?: number
    /** Milliseconds before the second try, default 200; doubled before each further one, up to `longest`, less up to half of it at random. */
    readonly delay?: number
    /** Milliseconds, default 10,000. */
    readonly longest?: number
  }
  /** Told before each pause that comes before another try, with the error of the one that failed. */
  readonly onRetry?: (error: unknown) => void
  /** Waits for that many milliseconds, or rejects with the signal's reason; default: a timer. */
  readonly sleep?: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>
  /** Uniform in [0, 1); default `Math.random`. */
  readonly random?: () => number
}
