export { StorageError, type StorageErrorCode } from './storage-error.ts'

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
  /**
   * Planning, once per job: every file, without reading contents. Paths are relative, plain (no empty, `.` or `..` segment) and unique; the
   * order is the same each time. A source that *is* one file yields it with `alone: true`. Each entry's `source` names that one file.
   */
  list(source: SourceSpec, options?: AbortOptions): AsyncIterable<FileEntry>
  /** Before a bid: is it held here, how large is it (absent = unknown), would this node's policy open it? Never fails because a source is down. */
  assess(source: SourceSpec, options?: AbortOptions): Promise<{ readonly bytes?: number; readonly held: boolean; readonly refusals: readonly Refusal[] }>
  /**
   * Writes the file to the path `into`, whose directory exists and which does not; yields bytes so far, never falling, last the size (0 for
   * an empty file). Checks `size`, `hash` and `sha256` where they are given (`source-mismatch`). Nothing is left at `into` after a throw, or
   * when the caller stops iterating.
   */
  stage(file: FileEntry, into: string, options: AbortOptions & { readonly maxBytes: number }): AsyncIterable<number>
  /** Ids of nodes that hold the source. */
  locate?(source: SourceSpec, options?: AbortOptions): AsyncIterable<string>
}

/** A file of a publication. */
export interface PublishedFile {
  /** Relative to the publication, plain. */
  readonly path: string
  /** Bytes. */
  readonly size: number
  /** The bytes from `from` on (default 0), in chunks of at most 4 MiB; nothing where `from` lies beyond the end. Any number of times, as long as it is published. */
  content(options?: AbortOptions & { readonly from?: number }): AsyncIterable<Uint8Array>
}

/** Where results go. Thrown = the node's fault. */
export interface Publisher {
  readonly type: string
  /** Publishes the plain files of a directory; idempotent on `id`: the same reference again, whatever the directory holds by then. */
  publish(id: string, directory: string, options: AbortOptions): Promise<Reference>
  /**
   * Makes one directory out of published parts (a reference stands for its whole directory) and files, moving no data where it can. A file's bytes come at once or as a
   * stream, which is read once.
   * Paths are relative and arrive in any order; one that is not plain, or is there twice, is an error. Idempotent on `id` like `publish`.
   */
  compose(
    id: string,
    entries: AsyncIterable<{ readonly path: string; readonly content: Reference | Uint8Array | AsyncIterable<Uint8Array> }>,
    options: AbortOptions,
  ): Promise<Reference>
  /**
   * Writes what was published into the existing, empty directory `into`; yields bytes so far, never falling. References come from other
   * nodes: one that names anything but a publication is an error.
   */
  fetch(reference: Reference, into: string, options: AbortOptions): AsyncIterable<number>
  /**
   * The files of a publication in the order of the bytes of their paths, without reading contents; with `path`, that file alone, or those below that directory, and
   * only the way there is looked at. Nothing for a path that is not there, or is not plain and relative. References come from other nodes, as in `fetch`.
   */
  read(reference: Reference, options: AbortOptions & { readonly path?: string }): AsyncIterable<PublishedFile>
  /** Withdraws what was published under `id` (a superseded publish). Idempotent. */
  unpublish(id: string, options?: AbortOptions): Promise<void>
}

export type StreamName = 'stdout' | 'stderr' | 'evidence'

/**
 * The directories of executions, all under one folder, which one workspace at a time works in. Every call is idempotent. An execution takes no place
 * on the disk until something is put there: a later process knows nothing of one that was opened and got nothing.
 */
export interface Workspace {
  /** Says where inputs and outputs lie. `outputNames`: directories that exist under `outputs` from now on; nothing else need exist yet. */
  open(id: string, outputNames?: readonly string[]): Promise<{ readonly inputs: string; readonly outputs: string }>
  /**
   * Where to put a file, of the inputs or of the engine's own (`files`): its directory exists, it does not; what an earlier try left there is gone.
   * `path` is relative and normal; a `FailureError` `source-invalid` where it would leave its area or pass through a file.
   */
  place(id: string, area: 'inputs' | 'files', path: string): Promise<string>
  /** Where a file that was placed lies. */
  locate(id: string, area: 'inputs' | 'files', path: string): string
  /** An empty `publish` directory, to fetch something published into; `entries` then tells what came, and `tail`, once sealed, its streams. */
  receive(id: string): Promise<string>
  /** Writes at an offset: the same bytes again change nothing. An error: an unknown id, a hole before `offset`, new bytes after `seal`. */
  append(id: string, name: StreamName, offset: number, bytes: Uint8Array): Promise<void>
  /**
   * What is there from `from` on, then what is appended; ends, without an error, with `seal`, `remove` or the signal, and at once for an id
   * that is not open. Any number of tails of one stream get the same bytes.
   */
  tail(id: string, name: StreamName, from: number, options: AbortOptions): AsyncIterable<Uint8Array>
  /** No more will be appended: tails end, also those of a later process. */
  seal(id: string): Promise<void>
  /** The directory to publish, as it will be published: it holds `outputs/` (the same as `outputs`), `stdout` and `stderr`, each there however empty, and `evidence`, where something was appended to it. */
  toPublish(id: string): Promise<string>
  /** The files under `outputs`, sorted by the bytes of their path; throws a `FailureError` `output-unsafe` on anything but plain files and directories. */
  entries(id: string, options?: AbortOptions): AsyncIterable<TreeEntry>
  /** Deletes everything of the id, whatever the modes of files and directories. */
  remove(id: string): Promise<void>
  /** The ids that were opened and not removed, those of earlier processes included. */
  leftovers(): AsyncIterable<string>
}
