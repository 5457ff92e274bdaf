import { type FileEntry, fileEntrySchema } from '@skrei/job-spec'
import type { StateStore } from '@skrei/state-store'
import type { Transport } from '@skrei/transport'
import * as z from 'zod'
import type { ShardContext } from '../machines/shard.ts'
import { shardId } from './facts.ts'
import { filesPerNode, type ListNode, listsPerNode, walkList } from './file-list.ts'
import { readList, readManifest } from './manifest-rows.ts'

const protocol = 'skrei/manifest/1'
const bytesPerChunk = 64 * 1024
/** A node of a list longer than this is none that a requester of ours makes. */
const longestNode = 8 * 2 ** 20

const wantedSchema = z.strictObject({ job: z.string().max(256), index: z.int().min(0), list: z.string().max(128).exactOptional() })
const cid = z.string().max(128)
const nodeSchema = z.union([
  z.array(fileEntrySchema).max(filesPerNode),
  z.strictObject({
    lists: z
      .array(cid)
      .min(1)
      .max(listsPerNode + 1),
  }),
])

/** Answers a node that was asked to run a shard, and nobody else, with one node of the shard's list: one JSON document. Changes nothing. */
export const serveManifests = (transport: Transport, store: StateStore): Disposable =>
  transport.serve(protocol, async function* (from, body) {
    const wanted = wantedSchema.safeParse(parsed(body)).data
    if (wanted === undefined) return
    const { job, index, list } = wanted
    const node = store.read((reader) => {
      const shard = reader.get('shard', shardId(job, index))?.data as unknown as ShardContext | undefined
      const manifest = shard?.asked.some(({ node }) => node === from) ? readManifest(reader, job, index) : undefined
      return manifest && readList(reader, job, manifest, list ?? manifest.cid)
    })
    if (node === undefined) return
    const bytes = new TextEncoder().encode(JSON.stringify(node))
    for (let start = 0; start < bytes.length; start += bytesPerChunk) yield bytes.subarray(start, start + bytesPerChunk)
  })

/** Asks the requester for a shard's files, a part at a time, each checked against the CID in the ask or in the part before. */
export const queryManifest = (
  transport: Transport,
  requester: string,
  shard: { readonly job: string; readonly index: number; readonly manifest: string },
  { signal }: { readonly signal: AbortSignal },
): AsyncGenerator<readonly FileEntry[], void, undefined> =>
  walkList(shard.manifest, async (list): Promise<ListNode> => {
    const chunks: Uint8Array[] = []
    let bytes = 0
    const wanted = new TextEncoder().encode(JSON.stringify({ job: shard.job, index: shard.index, list }))
    for await (const chunk of transport.query(requester, protocol, wanted, { signal })) {
      bytes += chunk.length
      if (bytes > longestNode) throw new Error(`the requester's list of files has more than ${longestNode} bytes in one part`)
      chunks.push(chunk)
    }
    const node = nodeSchema.safeParse(parsed(Buffer.concat(chunks))).data
    if (node === undefined) throw new Error('the requester gave no list of files')
    return node
  })

const parsed = (bytes: Uint8Array): unknown => {
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return undefined
  }
}
