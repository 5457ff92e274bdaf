import type { CID } from 'multiformats/cid'
import type { Blockstore } from './blockstore.ts'
import { type DagFile, loadNode } from './dag-node.ts'
import { IpfsError } from './ipfs-error.ts'
import { readAhead } from './read-ahead.ts'

/** 1,024 links a node put 2^80 bytes under a depth of 6: deeper is not a file but a trap. */
const maxDepth = 32

/** The root of a file of so many bytes. */
export const loadFile = async (blockstore: Blockstore, cid: CID, size: number, signal: AbortSignal): Promise<DagFile> => {
  const node = await loadNode(blockstore, cid, signal)
  if (node.kind !== 'file') throw new IpfsError('dag-invalid', `${cid} is part of a file but a directory`)
  if (node.size !== size) throw new IpfsError('dag-invalid', `${cid} holds ${node.size} bytes where its parent says ${size}`)
  return node
}

export interface ContentOptions {
  readonly blockstore: Blockstore
  readonly signal: AbortSignal
  /** Blocks of one file that are read at the same time. */
  readonly blocksAhead: number
  /** The first byte that is wanted: parts that lie before are not read. Default 0. */
  readonly from?: number
}

/** The bytes of a file in order, every block checked; as many as its root says, else an error. */
export async function* fileContent(file: DagFile, options: ContentOptions, depth = 0): AsyncGenerator<Uint8Array, void, undefined> {
  const { blockstore, signal, blocksAhead, from = 0 } = options
  if (depth > maxDepth) throw new IpfsError('dag-invalid', `${file.cid} lies more than ${maxDepth} nodes deep in its file`)
  if (file.data.byteLength > from) yield file.data.subarray(from)
  let skip = Math.max(0, from - file.data.byteLength)
  let first = 0
  for (let child = file.children[first]; child !== undefined && child.size <= skip; child = file.children[first]) {
    skip -= child.size
    first += 1
  }
  const parts = first === 0 ? file.children : file.children.slice(first)
  for await (const child of readAhead(parts, blocksAhead, ({ cid, size }) => loadFile(blockstore, cid, size, signal))) {
    if (child.children.length === 0) yield skip === 0 ? child.data : child.data.subarray(skip)
    else yield* fileContent(child, { ...options, from: skip }, depth + 1)
    skip = 0
  }
}
