import { unixfs } from '@helia/unixfs'
import type { Blockstore } from 'interface-blockstore'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'
import { chunkBytes, linksPerNode, profile } from './cid-profile.ts'
import type { Stored } from './stored.ts'

/** Chunks of one file that are written at the same time. */
const writesAhead = 4

// All given one by one: the importer takes what is missing from its own defaults, not from the profile.
const options = {
  profile,
  cidVersion: 1,
  rawLeaves: true,
  chunker: fixedSize({ chunkSize: chunkBytes }),
  layout: balanced({ maxChildrenPerNode: linksPerNode }),
  blockWriteConcurrency: writesAhead,
} as const

/** Stores a file with helia's importer, which holds a few chunks of it at a time. */
export const storeFile = async (
  content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  blockstore: Pick<Blockstore, 'get' | 'has' | 'put'>,
): Promise<Stored> => {
  for await (const { cid, size } of unixfs({ blockstore }).addAll([{ content }], options)) return { cid, treeBytes: Number(size) }
  throw new Error('helia stored no file')
}
