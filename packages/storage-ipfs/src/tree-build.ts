import { hash } from 'node:crypto'
import { encode, type PBLink, prepare } from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import type { Blockstore } from './blockstore.ts'
import { dagPbCode, rawCode } from './dag-node.ts'
import { directoryHash, maxShardDepth, slotLabel } from './directory-hash.ts'
import { IpfsError } from './ipfs-error.ts'
import { readAhead } from './read-ahead.ts'

// The CID profile `unixfs-v1-2025` (IPIP-499): CIDv1, sha2-256, raw leaves, balanced layout, no modes nor times. The same content has the same CID from
// kubo (`ipfs init --profile=unixfs-v1-2025`) and from helia with that profile.
export const chunkBytes = 1_048_576
const linksPerNode = 1024
/** A directory whose block would be larger than this is sharded. */
const shardThreshold = 262_144
const shardWidth = 256n
const murmur3 = 0x22n
const sha256Code = 0x12

/** Chunks of one file that are written at the same time. */
const writesAhead = 4
/** Parts of one sharded directory that are written at the same time. */
const shardsAhead = 16

/** A part of a tree that is stored: `treeBytes` counts its block and all that hangs from it, `size` the content of a file. */
export interface Stored {
  readonly cid: CID
  readonly treeBytes: number
}
interface StoredPart extends Stored {
  readonly size: number
}
export interface DirectoryEntry extends Stored {
  readonly name: string
}

export interface BuildOptions {
  readonly blockstore: Blockstore
  readonly signal: AbortSignal
}

const putBlock = async (code: number, bytes: Uint8Array, { blockstore, signal }: BuildOptions): Promise<CID> => {
  const cid = CID.createV1(code, createDigest(sha256Code, hash('sha256', bytes, 'buffer')))
  await blockstore.put(cid, bytes, { signal })
  return cid
}

const putNode = async (data: UnixFS, links: PBLink[], options: BuildOptions): Promise<Stored> => {
  const bytes = encode(prepare({ Data: data.marshal(), Links: links }))
  const cid = await putBlock(dagPbCode, bytes, options)
  return { cid, treeBytes: links.reduce((sum, link) => sum + (link.Tsize ?? 0), bytes.byteLength) }
}

const putLeaf = async (bytes: Uint8Array, options: BuildOptions): Promise<StoredPart> => ({
  cid: await putBlock(rawCode, bytes, options),
  treeBytes: bytes.byteLength,
  size: bytes.byteLength,
})

const putFileNode = async (parts: readonly StoredPart[], options: BuildOptions): Promise<StoredPart> => {
  const data = new UnixFS({ type: 'file', blockSizes: parts.map((part) => BigInt(part.size)) })
  const links = parts.map((part) => ({ Name: '', Hash: part.cid, Tsize: part.treeBytes }))
  return { ...(await putNode(data, links, options)), size: parts.reduce((sum, part) => sum + part.size, 0) }
}

/** Stores a file from its chunks, each of {@link chunkBytes} but the last. Holds one open node a level, so a file may be larger than memory. */
export const storeFile = async (chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, options: BuildOptions): Promise<Stored> => {
  const levels: StoredPart[][] = []
  const add = async (part: StoredPart, level: number): Promise<void> => {
    const open = levels[level] ?? []
    levels[level] = open
    // A full node is closed only when another part follows: whether it is the root shows at the end.
    if (open.length === linksPerNode) {
      await add(await putFileNode(open, options), level + 1)
      open.length = 0
    }
    open.push(part)
  }
  for await (const leaf of readAhead(chunks, writesAhead, (bytes) => putLeaf(bytes, options))) await add(leaf, 0)
  for (let level = 0; ; level += 1) {
    const open = levels[level]
    const only = open?.[0]
    if (open === undefined || only === undefined) return putLeaf(new Uint8Array(), options)
    if (open.length === 1 && levels.length === level + 1) return only
    await add(await putFileNode(open, options), level + 1)
  }
}

interface Hashed {
  readonly entry: DirectoryEntry
  readonly hash: Uint8Array
}

const putShard = async (entries: readonly Hashed[], depth: number, options: BuildOptions): Promise<Stored> => {
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
export const storeDirectory = async (entries: readonly DirectoryEntry[], options: BuildOptions): Promise<Stored> => {
  if (flatBytes(entries) > shardThreshold) {
    const hashed: Hashed[] = []
    for (const entry of entries) hashed.push({ entry, hash: await directoryHash(entry.name) })
    return putShard(hashed, 0, options)
  }
  const links = entries.map(({ name, cid, treeBytes }) => ({ Name: name, Hash: cid, Tsize: treeBytes }))
  return putNode(new UnixFS({ type: 'directory' }), links, options)
}
