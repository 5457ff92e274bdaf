import { hash } from 'node:crypto'
import { decode as decodePb, type PBLink } from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import type { Blockstore } from './blockstore.ts'
import { IpfsError } from './ipfs-error.ts'

export const rawCode = 0x55
export const dagPbCode = 0x70
const identityCode = 0x00
const hashFunctions: ReadonlyMap<number, { readonly name: string; readonly bytes: number }> = new Map([
  [0x12, { name: 'sha256', bytes: 32 }],
  [0x13, { name: 'sha512', bytes: 64 }],
])

/** Larger than any block that kubo makes or bitswap carries (2 MiB), and small enough to decode at once. */
const maxBlockBytes = 4 * 1024 * 1024

export interface DagFile {
  readonly kind: 'file'
  readonly cid: CID
  /** Bytes of the whole file, as its root says; what is read is checked against it. */
  readonly size: number
  readonly data: Uint8Array
  readonly children: readonly { readonly cid: CID; readonly size: number }[]
}
export interface DagDirectory {
  readonly kind: 'directory' | 'shard'
  readonly cid: CID
  readonly links: readonly PBLink[]
  /** Bytes of the block and of all that hangs from it, as its links say. */
  readonly treeBytes: number
}
export type DagNode = DagFile | DagDirectory

/** Reads a CID of any version and of the bases that kubo writes. */
export const parseCid = (text: string): CID => {
  try {
    return CID.parse(text)
  } catch (error) {
    throw new IpfsError('cid-unsupported', `${JSON.stringify(text.slice(0, 128))} is not a CID`, { cause: error })
  }
}

const gather = async (chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, cid: CID): Promise<Uint8Array> => {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of chunks) {
    bytes += chunk.byteLength
    if (bytes > maxBlockBytes) throw new IpfsError('dag-invalid', `block ${cid} is larger than ${maxBlockBytes} bytes`)
    parts.push(chunk)
  }
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
}

// A helia blockstore says that a block is not there with an error of this name.
const isNotFound = (error: unknown): boolean => error instanceof Error && error.name === 'NotFoundError'

/** As in kubo: content that stands in a CID itself is only meant for very small blocks. */
const maxIdentityBytes = 128

/** Whether the hash function of a CID is one that can be checked here. */
const checkable = ({ multihash: { code, size } }: CID): boolean => (code === identityCode ? size <= maxIdentityBytes : hashFunctions.get(code)?.bytes === size)

const checkSupported = (cid: CID): void => {
  if (!checkable(cid))
    throw new IpfsError(
      'cid-unsupported',
      `${cid} uses hash function 0x${cid.multihash.code.toString(16)} with ${cid.multihash.size} bytes; read here are sha2-256, sha2-512 and identity up to ${maxIdentityBytes}`,
    )
  if (cid.code !== rawCode && cid.code !== dagPbCode) {
    throw new IpfsError('cid-unsupported', `${cid} has codec 0x${cid.code.toString(16)}; files and directories are raw or dag-pb`)
  }
}

/** A block's bytes, checked against its CID: a local store is not trusted more than a peer. */
const loadBlock = async (blockstore: Blockstore, cid: CID, signal: AbortSignal): Promise<Uint8Array> => {
  signal.throwIfAborted()
  checkSupported(cid)
  if (cid.multihash.code === identityCode) return cid.multihash.digest
  const bytes = await gather(blockstore.get(cid, { signal }), cid).catch((error: unknown) => {
    if (isNotFound(error)) throw new IpfsError('block-missing', `block ${cid} is not held here`, { cause: error })
    throw error
  })
  const name = hashFunctions.get(cid.multihash.code)?.name ?? ''
  if (!hash(name, bytes, 'buffer').equals(cid.multihash.digest)) {
    throw new IpfsError('block-corrupt', `the block held for ${cid} has other content; publish or import it again`)
  }
  return bytes
}

export const holdsBlock = async (blockstore: Blockstore, cid: CID, signal: AbortSignal): Promise<boolean> => {
  signal.throwIfAborted()
  return checkable(cid) && (cid.multihash.code === identityCode || (await blockstore.has(cid, { signal })))
}

const decodeFile = (cid: CID, data: UnixFS, links: readonly PBLink[]): DagFile => {
  if (data.blockSizes.length !== links.length)
    throw new IpfsError('dag-invalid', `file node ${cid} has ${links.length} links and ${data.blockSizes.length} sizes`)
  const size = Number(data.fileSize())
  if (!Number.isSafeInteger(size)) throw new IpfsError('dag-invalid', `file node ${cid} claims an impossible size`)
  const children = links.map((link, index) => ({ cid: link.Hash, size: Number(data.blockSizes[index] ?? 0n) }))
  // A part of no bytes could be linked without end and never reach a limit on bytes.
  if (children.some((child) => child.size <= 0)) throw new IpfsError('dag-invalid', `file node ${cid} links a part without content`)
  return { kind: 'file', cid, size, data: data.data ?? new Uint8Array(), children }
}

const decodeDagPb = (cid: CID, bytes: Uint8Array): { data: UnixFS; links: readonly PBLink[] } => {
  try {
    const node = decodePb(bytes)
    if (node.Data === undefined) throw new Error('it has no data')
    return { data: UnixFS.unmarshal(node.Data), links: node.Links }
  } catch (error) {
    throw new IpfsError('dag-invalid', `block ${cid} is not a UnixFS node: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

/** A node of a UnixFS tree, checked against its CID; links and other kinds of node are refused. */
export const loadNode = async (blockstore: Blockstore, cid: CID, signal: AbortSignal): Promise<DagNode> => {
  const bytes = await loadBlock(blockstore, cid, signal)
  if (cid.code === rawCode) return { kind: 'file', cid, size: bytes.byteLength, data: bytes, children: [] }
  const { data, links } = decodeDagPb(cid, bytes)
  if (data.type === 'file' || data.type === 'raw') return decodeFile(cid, data, links)
  const treeBytes = links.reduce((sum, link) => sum + (link.Tsize ?? 0), bytes.byteLength)
  if (data.type === 'directory') return { kind: 'directory', cid, links, treeBytes }
  if (data.type === 'hamt-sharded-directory') {
    if (data.fanout !== 256n) throw new IpfsError('dag-invalid', `directory shard ${cid} has a width of ${data.fanout}; read here is 256`)
    return { kind: 'shard', cid, links, treeBytes }
  }
  throw new IpfsError('dag-invalid', `${cid} is a ${data.type}; only files and directories can be used`)
}
