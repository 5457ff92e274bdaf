import { decode as decodePb, type PBLink } from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import type { Blockstore } from './blockstore.ts'
import { gather, isCheckable, isIdentity, maxIdentityBytes } from './checked-blockstore.ts'
import { IpfsError } from './ipfs-error.ts'

export const rawCode = 0x55
export const dagPbCode = 0x70

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

const checkSupported = (cid: CID): void => {
  if (!isCheckable(cid))
    throw new IpfsError(
      'cid-unsupported',
      `${cid} uses hash function 0x${cid.multihash.code.toString(16)} with ${cid.multihash.size} bytes; read here are sha2-256, sha2-512 and identity up to ${maxIdentityBytes}`,
    )
  if (cid.code !== rawCode && cid.code !== dagPbCode) {
    throw new IpfsError('cid-unsupported', `${cid} has codec 0x${cid.code.toString(16)}; files and directories are raw or dag-pb`)
  }
}

/** A block's bytes. They are checked below helia where they are held, and by helia where they are fetched. */
const loadBlock = async (blockstore: Blockstore, cid: CID, signal: AbortSignal): Promise<Uint8Array> => {
  signal.throwIfAborted()
  checkSupported(cid)
  if (isIdentity(cid)) return cid.multihash.digest
  try {
    return await gather(blockstore.get(cid, { signal }), cid)
  } catch (error) {
    // helia puts the reason for which it was ended into an error of its own.
    signal.throwIfAborted()
    if (error instanceof IpfsError || (await blockstore.has(cid, { signal }))) throw error
    // helia gathers what each of its block brokers says.
    const told = error instanceof Error && 'errors' in error && Array.isArray(error.errors) ? error.errors.find((one) => one instanceof IpfsError) : undefined
    throw told ?? new IpfsError('block-missing', `block ${cid} is not held here`, { cause: error })
  }
}

export const holdsBlock = async (blockstore: Blockstore, cid: CID, signal: AbortSignal): Promise<boolean> => {
  signal.throwIfAborted()
  return isCheckable(cid) && (isIdentity(cid) || (await blockstore.has(cid, { signal })))
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
