import { createReadStream } from 'node:fs'
import type { UploadFile } from '@skrei/api/client'
import type { FileEntry, JobSpec, SourceSpec } from '@skrei/job-spec'
import type { Source } from '@skrei/storage'
import type { JobFile } from '../job-file.ts'
import { localSources } from '../local-sources.ts'

/** Where files go: the API of a node. */
export interface Uploads {
  addBlob(content: AsyncIterable<Uint8Array>, options: { readonly signal: AbortSignal }): Promise<{ readonly cid: string }>
  addTree(files: AsyncIterable<UploadFile>, options: { readonly signal: AbortSignal }): Promise<{ readonly cid: string }>
}

export interface UploadOptions {
  readonly signal: AbortSignal
  /** Bytes so far, of all files. */
  readonly progress: (bytes: number) => void
}

/** Half of a megabyte at a time: at the default of Node an upload is bound by calls. */
const readSize = 512 * 1024

/**
 * The job with its local sources, which only this machine has, as sources of IPFS: each file or directory is given to the node once. Pins stay. A job without local sources
 * comes back as it is.
 */
export const uploadSources = async (job: JobFile, local: Source, uploads: Uploads, { signal, progress }: UploadOptions): Promise<JobSpec> => {
  const found = localSources(job)
  if (found.length === 0) return job.spec
  let sent = 0
  const contentOf = async function* (path: string): AsyncGenerator<Uint8Array> {
    for await (const chunk of createReadStream(path, { highWaterMark: readSize, signal })) {
      sent += (chunk as Uint8Array).byteLength
      progress(sent)
      yield chunk as Uint8Array
    }
  }

  const cids = new Map<string, string>()
  for (const { source, at } of found) {
    if (source.type !== 'local' || cids.has(keyOf(source, at))) continue
    const entries = local.list(source, { signal })[Symbol.asyncIterator]()
    const first = await entries.next()
    const { cid } =
      first.done !== true && first.value.alone === true && !needsName(source, at)
        ? await uploads.addBlob(contentOf(pathOf(first.value)), { signal })
        : await uploads.addTree(treeOf(first, entries, contentOf), { signal })
    cids.set(keyOf(source, at), cid)
  }
  const uploaded = (source: SourceSpec, at?: string): SourceSpec => {
    const cid = source.type === 'local' ? cids.get(keyOf(source, at)) : undefined
    return cid === undefined ? source : { type: 'ipfs', cid, ...(source.sha256 !== undefined && { sha256: source.sha256 }) }
  }
  const { engine, inputs } = job.spec
  return {
    ...job.spec,
    engine: engine.type === 'wasm' && 'module' in engine ? { ...engine, module: uploaded(engine.module as SourceSpec) } : engine,
    ...(inputs !== undefined && { inputs: inputs.map((input) => ({ ...input, source: uploaded(input.source, input.path) })) }),
  } as JobSpec
}

/**
 * A file in a directory of the sandbox has the name that it has here; one that is IPFS's alone would be called after its CID. So it is given as a directory of one file. A pin is of a file: with
 * one it stays a file.
 */
const needsName = (source: LocalSource, at: string | undefined): boolean =>
  at !== undefined && source.sha256 === undefined && at.lastIndexOf('.') <= at.lastIndexOf('/') + 1

/** A module and an input may be the same file. */
const keyOf = (source: LocalSource, at: string | undefined): string => `${needsName(source, at)} ${source.path}`

type LocalSource = Extract<SourceSpec, { readonly type: 'local' }>

/** The local driver lists files by their absolute paths. */
const pathOf = ({ source }: FileEntry): string => (source.type === 'local' ? source.path : '')

async function* treeOf(
  first: IteratorResult<FileEntry>,
  rest: AsyncIterator<FileEntry>,
  contentOf: (path: string) => AsyncIterable<Uint8Array>,
): AsyncGenerator<UploadFile> {
  try {
    for (let next = first; next.done !== true; next = await rest.next()) {
      const { path, size = 0 } = next.value
      yield { path, size, content: contentOf(pathOf(next.value)) }
    }
  } finally {
    await rest.return?.()
  }
}
