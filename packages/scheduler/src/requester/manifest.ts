import { cidOf, FailureError, type FileEntry, globMatcher, type InputSpec, type ResolvedJob } from '@skrei/job-spec'
import { merkleTree } from '@skrei/protocol'
import type { Data, Reader, Row } from '@skrei/state-store'
import type { Source } from '@skrei/storage'

/** The files of one shard; `cid` names the list. */
export interface ShardManifest {
  readonly cid: string
  readonly files: readonly FileEntry[]
}

const shared = 'shared'
const idOf = (jobId: string, index: number | typeof shared): string => `${jobId}/${index}`

const row = (jobId: string, index: number | typeof shared, manifest: ShardManifest): Row => ({
  kind: 'manifest',
  id: idOf(jobId, index),
  parent: jobId,
  state: 'manifest',
  open: false,
  version: 1,
  data: manifest as unknown as Data,
})

/** A shard's files as planned: its own list, or the one that all shards of the job share. */
export const readManifest = (reader: Reader, jobId: string, index: number): ShardManifest | undefined =>
  (reader.get('manifest', idOf(jobId, index)) ?? reader.get('manifest', idOf(jobId, shared)))?.data as unknown as ShardManifest | undefined

export interface Planned {
  readonly total: number
  /** Root over the shards' manifest CIDs (RFC 6962, SHA-256, hexadecimal). */
  readonly manifest: string
}

const rowsPerPart = 500

/** Lists every input once and hands out the manifest in parts. Throws a `FailureError` where the job or its inputs are at fault. */
export const plan = async (
  jobId: string,
  job: ResolvedJob,
  sources: ReadonlyMap<string, Source>,
  write: (rows: readonly Row[]) => Promise<void>,
  options: { readonly signal: AbortSignal },
): Promise<Planned> => {
  const { sharding } = job
  const split = sharding !== undefined && 'glob' in sharding ? job.inputs.find(({ path }) => path === (sharding.input ?? job.inputs[0]?.path)) : undefined
  const whole: FileEntry[] = []
  for (const input of job.inputs) if (input !== split) for await (const entry of list(input, sources, options)) whole.push(entry)

  const tree = merkleTree()
  const leaf = (cid: string): void => tree.add(new TextEncoder().encode(cid))

  if (split === undefined || sharding === undefined || !('glob' in sharding)) {
    const manifest = manifestOf(whole)
    const total = sharding !== undefined && 'count' in sharding ? sharding.count : 1
    for (let index = 0; index < total; index++) leaf(manifest.cid)
    await write([row(jobId, shared, manifest)])
    return { total, manifest: hex(tree.root()) }
  }

  const accepts = shardFilter(sharding)
  const batchSize = sharding.batchSize ?? 1
  let total = 0
  let batch: FileEntry[] = []
  let rows: Row[] = []
  const close = async (): Promise<void> => {
    if (batch.length === 0) return
    const manifest = manifestOf([...whole, ...batch])
    leaf(manifest.cid)
    rows.push(row(jobId, total++, manifest))
    batch = []
    if (rows.length >= rowsPerPart) await write(rows.splice(0))
  }
  for await (const entry of list(split, sources, options, accepts)) {
    batch.push(entry)
    if (batch.length >= batchSize) await close()
  }
  await close()
  if (total === 0) throw new FailureError('no-input', `sharding.glob "${sharding.glob}" matched no file of the input at ${split.path}`)
  rows = rows.splice(0)
  if (rows.length > 0) await write(rows)
  return { total, manifest: hex(tree.root()) }
}

/** Which paths of the split input belong to shards: under `basePath`, matched by `glob` from there. */
const shardFilter = ({ glob, basePath }: { readonly glob: string; readonly basePath?: string }): ((path: string) => boolean) => {
  const matches = globMatcher(glob)
  const base = basePath?.replace(/^\/+|\/+$/g, '') ?? ''
  if (base === '') return matches
  return (path) => path.startsWith(`${base}/`) && matches(path.slice(base.length + 1))
}

async function* list(
  input: InputSpec,
  sources: ReadonlyMap<string, Source>,
  options: { readonly signal: AbortSignal },
  accepts?: (path: string) => boolean,
): AsyncGenerator<FileEntry> {
  const source = sources.get(input.source.type)
  if (source === undefined) throw new FailureError('source-invalid', `this node has no driver for sources of type ${input.source.type}`)
  for await (const entry of source.list(input.source, options)) {
    if (accepts !== undefined && !accepts(entry.path)) continue
    const { path, alone, ...rest } = entry
    yield { ...rest, path: place(input.path, path, alone === true) }
  }
}

/**
 * Where a file lies in the guest, relative to its root. A source that is one file is put at the input's path itself when the path's last
 * segment has an extension; everything else lies inside the directory that the path names.
 */
const place = (inputPath: string, path: string, alone: boolean): string => {
  const at = inputPath.slice(1)
  const last = at.slice(at.lastIndexOf('/') + 1)
  const placed = alone && last.lastIndexOf('.') > 0 ? at : `${at}/${path}`
  if (!placed.includes('/'))
    throw new FailureError('task-invalid', `the input at ${inputPath} would lie in the root of the sandbox: give it a directory, such as /inputs${inputPath}`)
  return placed
}

const manifestOf = (files: readonly FileEntry[]): ShardManifest => {
  const paths = new Set<string>()
  for (const { path } of files) {
    if (paths.has(path)) throw new FailureError('source-invalid', `two input files would lie at /${path}`)
    paths.add(path)
  }
  return { cid: cidOf(files), files }
}

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
