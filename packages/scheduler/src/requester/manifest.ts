import { FailureError, type FileEntry, globMatcher, type InputSpec, type ResolvedJob } from '@skrei/job-spec'
import { merkleRootOfEqual, merkleTree } from '@skrei/protocol'
import type { Row } from '@skrei/state-store'
import type { Source } from '@skrei/storage'
import { concatenated, type FileList, type FileListBuilder, fileListBuilder } from './file-list.ts'
import { commonRow, listRow, type ShardManifest, shardsPerRow, shardsRow } from './manifest-rows.ts'

export interface Planned {
  readonly total: number
  /** Root over the shards' manifest CIDs (RFC 6962, SHA-256, hexadecimal). */
  readonly manifest: string
}

/** What was counted on the way, for people: each file once, however many shards get it. `bytes` is absent where a source did not say. */
export interface Counted extends Planned {
  readonly files: number
  readonly bytes?: number
  /** As many files of the first shard as an ask lists. */
  readonly first: readonly FileEntry[]
}

/** Rows are written when there are this many, or as many characters of them. */
const rowsPerPart = 128
const charactersPerPart = 2 ** 20
const firstFiles = 32

/**
 * Lists every input once and hands out the manifest in parts; holds no more than a part, whatever the number of files and shards. Throws a `FailureError` where the job or its
 * inputs are at fault.
 */
export const plan = async (
  jobId: string,
  job: ResolvedJob,
  sources: ReadonlyMap<string, Source>,
  write: (rows: readonly Row[]) => Promise<void>,
  options: { readonly signal: AbortSignal },
): Promise<Counted> => {
  const { sharding } = job
  const split = sharding !== undefined && 'glob' in sharding ? job.inputs.find(({ path }) => path === (sharding.input ?? job.inputs[0]?.path)) : undefined
  const rows: Row[] = []
  let characters = 0
  let files = 0
  let bytes: number | undefined = 0
  const first: FileEntry[] = []

  const keep = (row: Row): void => {
    rows.push(row)
    characters += String(row.data).length
  }
  const flush = (): Promise<void> => {
    characters = 0
    return write(rows.splice(0))
  }
  /** Most files fill no part: they do not wait for a promise. */
  const flushWhenFull = (): Promise<void> | undefined => (rows.length >= rowsPerPart || characters >= charactersPerPart ? flush() : undefined)
  const builder = (): FileListBuilder => fileListBuilder((cid, node) => keep(listRow(jobId, cid, node)))
  const add = (list: FileListBuilder, entry: FileEntry): void => {
    files++
    bytes = entry.size === undefined || bytes === undefined ? undefined : bytes + entry.size
    try {
      list.add(entry)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      throw new FailureError('source-too-large', `one shard would have more than ${list.size} files: use sharding with a smaller batchSize`, { cause: error })
    }
  }
  const note = (entry: FileEntry): void => void (first.length < firstFiles && first.push(entry))

  const common = builder()
  const commonPaths = new Set<string>()
  for (const input of job.inputs) {
    if (input === split) continue
    const place = placing(input.path)
    for await (const listed of sourceOf(input, sources).list(input.source, options)) {
      const entry = place(listed)
      unique(entry.path, commonPaths)
      note(entry)
      add(common, entry)
      await flushWhenFull()
    }
  }
  const isCommon = common.size > 0
  const whole = common.end()

  const tree = merkleTree()
  const counted = (): Counted => ({
    total: tree.size,
    manifest: hex(tree.root()),
    files,
    ...(bytes !== undefined && { bytes }),
    first,
  })

  if (split === undefined || sharding === undefined || !('glob' in sharding)) {
    const total = sharding !== undefined && 'count' in sharding ? sharding.count : 1
    keep(commonRow(jobId, whole))
    if (rows.length > 0) await flush()
    // All shards are equal: to hash each, there may be a million, would hold up all else for seconds.
    return { ...counted(), total, manifest: hex(merkleRootOfEqual(leafOf(whole), total)) }
  }

  const accepts = shardFilter(sharding)
  const batchSize = sharding.batchSize ?? 1
  const own = builder()
  let paths = new Set<string>()
  let shards: ShardManifest[] = []
  const close = (): void => {
    if (own.size === 0) return
    const shard = isCommon ? withCommon(whole, own.end()) : own.end()
    tree.add(leafOf(shard))
    shards.push(shard)
    if (paths.size > 0) paths = new Set()
    if (shards.length >= shardsPerRow) closeRow()
  }
  const closeRow = (): void => {
    if (shards.length === 0) return
    keep(shardsRow(jobId, tree.size - shards.length, shards))
    shards = []
  }
  const place = placing(split.path)
  for await (const listed of sourceOf(split, sources).list(split.source, options)) {
    if (!accepts(listed.path)) continue
    const entry = place(listed)
    if (commonPaths.has(entry.path)) twice(entry.path)
    if (batchSize > 1) unique(entry.path, paths)
    if (tree.size === 0) note(entry)
    add(own, entry)
    if (own.size >= batchSize) close()
    const full = flushWhenFull()
    if (full !== undefined) await full
  }
  close()
  closeRow()
  if (tree.size === 0) throw new FailureError('no-input', `sharding.glob "${sharding.glob}" matched no file of the input at ${split.path}`)
  if (rows.length > 0) await flush()
  return counted()
}

const withCommon = (whole: FileList, own: FileList): ShardManifest => {
  const both = concatenated(whole, own)
  // The second list has no row of its own where it is short.
  return both.lists === undefined || own.files === undefined ? both : { ...both, files: own.files }
}

/** A source's own paths are unique; several inputs may meet. Of a longer list the first paths are compared with all others. */
const comparedPaths = 100_000

const unique = (path: string, paths: Set<string>): void => {
  if (paths.has(path)) twice(path)
  if (paths.size < comparedPaths) paths.add(path)
}
const twice = (path: string): never => {
  throw new FailureError('source-invalid', `two input files would lie at /${path}`)
}

/** Which paths of the split input belong to shards: under `basePath`, matched by `glob` from there. */
const shardFilter = ({ glob, basePath }: { readonly glob: string; readonly basePath?: string }): ((path: string) => boolean) => {
  const matches = globMatcher(glob)
  const base = basePath?.replace(/^\/+|\/+$/g, '') ?? ''
  if (base === '') return matches
  return (path) => path.startsWith(`${base}/`) && matches(path.slice(base.length + 1))
}

const sourceOf = (input: InputSpec, sources: ReadonlyMap<string, Source>): Source => {
  const source = sources.get(input.source.type)
  if (source === undefined) throw new FailureError('source-invalid', `this node has no driver for sources of type ${input.source.type}`)
  return source
}

/**
 * Where a file lies in the guest, relative to its root. A source that is one file is put at the input's path itself when the path's last
 * segment has an extension; everything else lies inside the directory that the path names.
 */
const placing = (inputPath: string): ((file: FileEntry) => FileEntry) => {
  const at = inputPath.slice(1)
  const directory = `${at}/`
  const namesFile = at.lastIndexOf('.') > at.lastIndexOf('/') + 1
  return ({ path, source, size, hash, alone }) => {
    const isAt = alone === true && namesFile
    if (isAt && !at.includes('/'))
      throw new FailureError('task-invalid', `the input at ${inputPath} would lie in the root of the sandbox: give it a directory, such as /inputs${inputPath}`)
    // Written out: a million times, copying what is left over would be a tenth of the work.
    const entry: FileEntry = { path: isAt ? at : directory + path, source }
    if (size !== undefined) entry.size = size
    if (hash !== undefined) entry.hash = hash
    return entry
  }
}

/** The tree takes what it needs of a leaf at once: all CIDs are written to one place. */
let leafBytes = Buffer.alloc(59)
const leafOf = ({ cid }: { readonly cid: string }): Uint8Array => {
  if (leafBytes.length !== cid.length) leafBytes = Buffer.alloc(cid.length)
  leafBytes.write(cid, 'latin1')
  return leafBytes
}
const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
