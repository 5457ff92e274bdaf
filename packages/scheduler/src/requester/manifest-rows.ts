import { cidOf, type FileEntry } from '@skrei/job-spec'
import type { Data, Reader, Row } from '@skrei/state-store'
import type { ListNode } from './file-list.ts'

/**
 * A shard's part of the manifest. `cid` names its list. `files` are all of it, where `lists` is absent; with `lists`, the list is those two one after the other, and `files`
 * are the second. What is not here is a row of its own, named by its CID.
 */
export interface ShardManifest {
  readonly cid: string
  readonly files?: readonly FileEntry[]
  readonly lists?: readonly [string, string]
}

/**
 * So many shards share a row. Always the same, and rows of lists are named by what they hold: a plan that was broken off and made again leaves nothing behind
 * that could be taken for a part of the manifest.
 */
export const shardsPerRow = 32

/** The row of what all shards of a job have in common. */
const common = 'common'

const rowOf = (jobId: string, name: string, data: unknown): Row => ({
  kind: 'manifest',
  id: `${jobId}/${name}`,
  parent: jobId,
  state: 'manifest',
  open: false,
  version: 1,
  // As text: read as a whole or not at all, and never looked into by the store.
  data: JSON.stringify(data) as Data,
})

const read = (reader: Reader, jobId: string, name: string): unknown => {
  const row = reader.get('manifest', `${jobId}/${name}`)
  return row && JSON.parse(String(row.data))
}

/** Of a shard that is one short list, the list alone: that is half as much to write, and its CID is soon computed. */
type KeptShard = readonly FileEntry[] | ShardManifest
const kept = (shard: ShardManifest): KeptShard => (shard.files !== undefined && shard.lists === undefined ? shard.files : shard)

/** `first` is the index of the first of them, a multiple of `shardsPerRow`. */
export const shardsRow = (jobId: string, first: number, shards: readonly ShardManifest[]): Row => rowOf(jobId, String(first / shardsPerRow), shards.map(kept))
/** Instead of rows of shards, where all are alike. */
export const commonRow = (jobId: string, shard: ShardManifest): Row => rowOf(jobId, common, shard)
export const listRow = (jobId: string, cid: string, node: ListNode): Row => rowOf(jobId, cid, node)

/** A shard's part of the manifest as planned. */
export const readManifest = (reader: Reader, jobId: string, index: number): ShardManifest | undefined => {
  const shards = read(reader, jobId, String(Math.floor(index / shardsPerRow))) as readonly KeptShard[] | undefined
  const shard = shards?.[index % shardsPerRow]
  if (shard === undefined) return read(reader, jobId, common) as ShardManifest | undefined
  return 'cid' in shard ? shard : { cid: cidOf(shard), files: shard }
}

/** A node of a shard's list, by its CID; nothing where the job's manifest has none of that name. */
export const readList = (reader: Reader, jobId: string, shard: ShardManifest, cid: string): ListNode | undefined => {
  if (cid === shard.cid && shard.lists !== undefined) return { lists: shard.lists }
  if (shard.files !== undefined && cid === (shard.lists?.[1] ?? shard.cid)) return shard.files
  const node = /^\w+$/.test(cid) && cid.length > 40 ? (read(reader, jobId, cid) as ListNode | undefined) : undefined
  return node
}
