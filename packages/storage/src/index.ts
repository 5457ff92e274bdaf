import type { FileEntry, Reference, Refusal, SourceSpec, TreeEntry } from '@skrei/job-spec'

export interface AbortOptions {
  readonly signal?: AbortSignal
}

/**
 * Where inputs and modules come from. Where the fault is the job's or the source's, methods throw an error that carries a `failure`
 * (`FailureError` of job-spec); anything else thrown is the node's fault.
 */
export interface Source {
  readonly type: string
  /** Planning, once per job: every file, without reading contents. */
  list(source: SourceSpec, options?: AbortOptions): AsyncIterable<FileEntry>
  /** Before a bid: is it held here, how large is it (absent = unknown), would this node's policy open it? Never fails because a source is down. */
  assess(source: SourceSpec, options?: AbortOptions): Promise<{ readonly bytes?: number; readonly held: boolean; readonly refusals: readonly Refusal[] }>
  /** Writes the file to the path `into`, whose directory exists and which does not; yields bytes so far. Checks `hash` and `sha256`. Nothing is left at `into` after a throw. */
  stage(file: FileEntry, into: string, options: AbortOptions & { readonly maxBytes: number }): AsyncIterable<number>
  /** Ids of nodes that hold the source. */
  locate?(source: SourceSpec, options?: AbortOptions): AsyncIterable<string>
}

/** Where results go. Thrown = the node's fault. */
export interface Publisher {
  readonly type: string
  /** Publishes the content of a directory; idempotent on `id`. */
  publish(id: string, directory: string, options: AbortOptions): Promise<Reference>
  /** Makes one directory listing out of published parts and small files, moving no data where it can. Paths are relative and arrive in any order. */
  compose(id: string, entries: AsyncIterable<{ readonly path: string; readonly content: Reference | Uint8Array }>, options: AbortOptions): Promise<Reference>
  /** Writes what was published into the existing, empty directory `into`; yields bytes so far. */
  fetch(reference: Reference, into: string, options: AbortOptions): AsyncIterable<number>
  /** Withdraws what was published under `id` (a superseded publish). Idempotent. */
  unpublish(id: string, options?: AbortOptions): Promise<void>
}

export type StreamName = 'stdout' | 'stderr' | 'evidence'

/**
 * The directories of executions, all under one folder. Every call is idempotent. What will be published lies as it will be published:
 * `publish` holds `outputs/` (the same as `outputs`), `stdout` and `stderr`.
 */
export interface Workspace {
  open(id: string): Promise<{ readonly inputs: string; readonly outputs: string; readonly publish: string }>
  /** Writes at an offset: the same bytes again change nothing. */
  append(id: string, name: StreamName, offset: number, bytes: Uint8Array): Promise<void>
  /** What is there from `from` on, then what is appended, until `seal` or the signal. */
  tail(id: string, name: StreamName, from: number, options: AbortOptions): AsyncIterable<Uint8Array>
  /** No more will be appended: tails end. */
  seal(id: string): Promise<void>
  /** The files under `outputs`, sorted by the bytes of their path; throws a `FailureError` `output-unsafe` on anything but plain files and directories. */
  entries(id: string, options?: AbortOptions): AsyncIterable<TreeEntry>
  remove(id: string): Promise<void>
  leftovers(): AsyncIterable<string>
}
