import { hash } from 'node:crypto'
import { encode, type PBLink, prepare } from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { shardThreshold, shardWidth } from './cid-profile.ts'
import { dagPbCode } from './dag-node.ts'
import { directoryHash, maxShardDepth, slotLabel } from './directory-hash.ts'
import type { EmbeddedHelia } from './helia-node.ts'
import { IpfsError } from './ipfs-error.ts'
import { readAhead } from './read-ahead.ts'
import type { Stored } from './stored.ts'
import { type Write, writingBehind } from './writing-behind.ts'

const murmur3 = 0x22n
const sha256Code = 0x12

/** Parts of one sharded directory that are written at the same time. */
const shardsAhead = 16

export interface DirectoryEntry extends Stored {
  readonly name: string
}

export interface BuildOptions {
  readonly node: EmbeddedHelia
  readonly signal: AbortSignal
}

/** A block is known by its CID before it is written: the blocks above it are made meanwhile. */
export interface WritingOptions extends BuildOptions {
  readonly write: Write
}

/** Blocks that are written at the same time, of up to 1 MiB. */
const writesAhead = 8

/** Whatever builds trees: all blocks are written once it ends. */
export const building = <T>(options: BuildOptions, work: (options: WritingOptions) => Promise<T>): Promise<T> =>
  writingBehind(writesAhead, (write) => work({ ...options, write }))

const putNode = async (data: UnixFS, links: PBLink[], { node, signal, write }: WritingOptions): Promise<Stored> => {
  const bytes = encode(prepare({ Data: data.marshal(), Links: links }))
  const cid = CID.createV1(dagPbCode, createDigest(sha256Code, hash('sha256', bytes, 'buffer')))
  await write(() => node.addBlock(cid, bytes, signal))
  return { cid, treeBytes: links.reduce((sum, link) => sum + (link.Tsize ?? 0), bytes.byteLength) }
}

interface Hashed {
  readonly entry: DirectoryEntry
  readonly hash: Uint8Array
}

const putShard = async (entries: readonly Hashed[], depth: number, options: WritingOptions): Promise<Stored> => {
  if (depth >= maxShardDepth)
    throw new IpfsError('directory-unsafe', `names that hash alike cannot stand in one large directory: ${JSON.stringify(entries[0]?.entry.name)}`)
  const slots = Map.groupBy(entries, ({ hash }) => hash[depth] ?? 0)
  const bits = new Uint8Array(32)
  const links: PBLink[] = []
  const linkOf = async (slot: number): Promise<PBLink> => {
    const held = slots.get(slot) ?? []
    const only = held.length === 1 ? held[0]?.entry : undefined
    const child = only ?? (await putShard(held, depth + 1, options))
    return { Name: `${slotLabel(slot)}${only?.name ?? ''}`, Hash: child.cid, Tsize: child.treeBytes }
  }
  for (const slot of slots.keys()) bits[31 - (slot >> 3)] = (bits[31 - (slot >> 3)] ?? 0) | (1 << (slot & 7))
  // 100,000 names make some 29,000 shards: they are written side by side, below the root only, so that the number stays bounded.
  const ordered = [...slots.keys()].sort((a, b) => a - b)
  for await (const link of readAhead(ordered, depth === 0 ? shardsAhead : 1, linkOf)) links.push(link)
  // The bit field is a big-endian number without leading zeros, as go-bitfield writes it.
  const data = bits.subarray(bits.findIndex((byte) => byte !== 0))
  return putNode(new UnixFS({ type: 'hamt-sharded-directory', data, fanout: shardWidth, hashType: murmur3 }), links, options)
}

const varintBytes = (value: number): number => {
  let bytes = 1
  for (let rest = value; rest >= 128; rest /= 128) bytes += 1
  return bytes
}

/** The size of the block of a directory with these entries: a link is three fields, tagged and with lengths; the data of a directory is four bytes. */
const flatBytes = (entries: readonly DirectoryEntry[]): number =>
  entries.reduce((sum, { name, cid, treeBytes }) => {
    const nameBytes = Buffer.byteLength(name)
    const link = 1 + varintBytes(cid.byteLength) + cid.byteLength + 1 + varintBytes(nameBytes) + nameBytes + 1 + varintBytes(treeBytes)
    return sum + 1 + varintBytes(link) + link
  }, 4)

/** Stores a directory of stored entries with different names: one block, or a tree of shards when that block would be too large. */
export const storeDirectory = async (entries: readonly DirectoryEntry[], options: WritingOptions): Promise<Stored> => {
  if (flatBytes(entries) > shardThreshold) {
    const hashed: Hashed[] = []
    for (const entry of entries) hashed.push({ entry, hash: await directoryHash(entry.name) })
    return putShard(hashed, 0, options)
  }
  const links = entries.map(({ name, cid, treeBytes }) => ({ Name: name, Hash: cid, Tsize: treeBytes }))
  return putNode(new UnixFS({ type: 'directory' }), links, options)
}
