import { hash } from 'node:crypto'
import type { Blockstore as CompleteBlockstore } from 'interface-blockstore'
import type { CID } from 'multiformats/cid'
import type { Blockstore } from './blockstore.ts'
import { IpfsError } from './ipfs-error.ts'

const identityCode = 0x00
const hashFunctions: ReadonlyMap<number, { readonly name: string; readonly bytes: number }> = new Map([
  [0x12, { name: 'sha256', bytes: 32 }],
  [0x13, { name: 'sha512', bytes: 64 }],
])

/** Larger than any block that kubo makes or bitswap carries (2 MiB), and small enough to decode at once. */
const maxBlockBytes = 4 * 1024 * 1024

/** As in kubo: content that stands in a CID itself is only meant for very small blocks. */
export const maxIdentityBytes = 128

export const isIdentity = (cid: CID): boolean => cid.multihash.code === identityCode

/** Whether the hash function of a CID is one that can be checked here. */
export const isCheckable = (cid: CID): boolean => {
  const { code, size } = cid.multihash
  return isIdentity(cid) ? size <= maxIdentityBytes : hashFunctions.get(code)?.bytes === size
}

/** What `node:crypto` calls a hash function, where it is one that can be checked here. */
export const hashNameOf = (code: number): string | undefined => hashFunctions.get(code)?.name

/** A block as one piece, refused where it is larger than a block may be. */
export const gather = async (chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, cid: CID): Promise<Uint8Array> => {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of chunks) {
    bytes += chunk.byteLength
    if (bytes > maxBlockBytes) throw new IpfsError('dag-invalid', `block ${cid} is larger than ${maxBlockBytes} bytes`)
    parts.push(chunk)
  }
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
}

const unsupported = (method: string) => (): never => {
  throw new Error(`${method}: the blocks of an ipfs storage are kept; other processes may share them, and what was published is not pinned`)
}

/**
 * A store as helia wants it below itself. helia checks the blocks that it is sent but not those that it holds: here what a disk gives is compared with the
 * CID, for every reader. It deletes nothing, so that `helia.gc()` fails and not what was published.
 */
export const checkedBlockstore = (blocks: Blockstore): CompleteBlockstore => {
  const store: CompleteBlockstore = {
    get: async function* (cid, options) {
      const bytes = await gather(blocks.get(cid, options), cid)
      const name = isCheckable(cid) ? hashNameOf(cid.multihash.code) : undefined
      if (name === undefined) throw new IpfsError('cid-unsupported', `${cid} has a hash function that cannot be checked`)
      if (!hash(name, bytes, 'buffer').equals(cid.multihash.digest))
        throw new IpfsError('block-corrupt', `the block held for ${cid} has other content; publish or import it again`)
      yield bytes
    },
    has: (cid, options) => blocks.has(cid, options),
    put: async (cid, bytes, options) => blocks.put(cid, bytes instanceof Uint8Array ? bytes : await gather(bytes, cid), options),
    getMany: async function* (cids, options) {
      for await (const cid of cids) yield { cid, bytes: store.get(cid, options) }
    },
    putMany: async function* (pairs, options) {
      for await (const { cid, bytes } of pairs) yield await store.put(cid, bytes, options)
    },
    getAll: unsupported('getAll'),
    delete: unsupported('delete'),
    deleteMany: unsupported('deleteMany'),
  }
  return store
}
