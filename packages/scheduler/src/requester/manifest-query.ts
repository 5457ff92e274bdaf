import { type FileEntry, fileEntrySchema } from '@skrei/job-spec'
import type { StateStore } from '@skrei/state-store'
import type { Transport } from '@skrei/transport'
import type { ShardContext } from '../machines/shard.ts'
import { shardId } from './facts.ts'
import { readManifest } from './manifest.ts'

const protocol = 'skrei/manifest/1'
const linesPerChunk = 1000
/** A shard's list longer than this is no list that a node should stage. */
const longestList = 256 * 2 ** 20

/** Answers a node that was asked to run a shard, and nobody else, with the shard's files: one JSON document a line. Changes nothing. */
export const serveManifests = (transport: Transport, store: StateStore): Disposable =>
  transport.serve(protocol, async function* (from, body) {
    const wanted: unknown = JSON.parse(new TextDecoder().decode(body))
    if (typeof wanted !== 'object' || wanted === null || !('job' in wanted) || !('index' in wanted)) return
    const [job, index] = [String(wanted.job), Number(wanted.index)]
    const files = store.read((reader) => {
      const shard = reader.get('shard', shardId(job, index))?.data as unknown as ShardContext | undefined
      return shard?.asked.some(({ node }) => node === from) ? readManifest(reader, job, index)?.files : undefined
    })
    for (let start = 0; start < (files?.length ?? 0); start += linesPerChunk) {
      yield new TextEncoder().encode(
        (files ?? [])
          .slice(start, start + linesPerChunk)
          .map((file) => `${JSON.stringify(file)}\n`)
          .join(''),
      )
    }
  })

/** Asks the requester for a shard's files. What comes is untrusted: the caller compares its CID with the one in the ask. */
export const queryManifest = async (
  transport: Transport,
  requester: string,
  job: string,
  index: number,
  { signal }: { readonly signal: AbortSignal },
): Promise<readonly FileEntry[]> => {
  const files: FileEntry[] = []
  const decoder = new TextDecoder()
  let rest = ''
  let bytes = 0
  for await (const chunk of transport.query(requester, protocol, new TextEncoder().encode(JSON.stringify({ job, index })), { signal })) {
    bytes += chunk.length
    if (bytes > longestList) throw new Error(`the requester's list of files is longer than ${longestList} bytes`)
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) files.push(fileEntrySchema.parse(JSON.parse(line)))
  }
  return files
}
