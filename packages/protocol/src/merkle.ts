import { hash } from 'node:crypto'

// RFC 6962 section 2.1 (the same as RFC 9162 section 2.1): the two prefixes keep a leaf from passing for an inner node.
const leafPrefix = 0
const nodePrefix = 1

/** The hashes of a tree while it grows: 32 bytes as text of a character a byte, which `hash` makes three times as fast as a buffer. A tree of a million leaves has two million. */
type Hash = string

/** What is hashed is put together here, where it fits. */
const scratch = Buffer.alloc(257)

/** The leaves of a tree are mostly of one length. */
let shortLeaf = scratch.subarray(0, 1)

const leafHash = (leaf: Uint8Array): Hash => {
  const length = leaf.length + 1
  if (length <= scratch.length && length !== shortLeaf.length) shortLeaf = scratch.subarray(0, length)
  const bytes = length <= scratch.length ? shortLeaf : Buffer.alloc(length)
  bytes[0] = leafPrefix
  bytes.set(leaf, 1)
  return hash('sha256', bytes, 'binary')
}
const node = scratch.subarray(0, 65)
const nodeHash = (left: Hash, right: Hash): Hash => {
  node[0] = nodePrefix
  node.write(left, 1, 'latin1')
  node.write(right, 33, 'latin1')
  return hash('sha256', node, 'binary')
}
const emptyRoot = (): Hash => hash('sha256', new Uint8Array(), 'binary')
const bytesOf = (made: Hash): Uint8Array => new Uint8Array(Buffer.from(made, 'latin1'))
const hashOf = (bytes: Uint8Array): Hash => Buffer.from(bytes).toString('latin1')

/** A Merkle tree that is fed leaf by leaf and keeps only the roots of its complete subtrees: O(log n) memory. */
export interface MerkleTree {
  /** How many leaves were added. */
  readonly size: number
  add(leaf: Uint8Array): void
  /** The Merkle tree hash (32 bytes) of the leaves so far; more may be added after. */
  root(): Uint8Array
}

/** An empty tree: the Merkle tree hash of RFC 6962 section 2.1 over SHA-256. */
export const merkleTree = (): MerkleTree => {
  // At height h: the root of the complete subtree of 2^h leaves that waits for its right neighbour.
  const waiting: (Hash | undefined)[] = []
  let size = 0
  return {
    get size() {
      return size
    },
    add: (leaf) => {
      let reached = leafHash(leaf)
      let height = 0
      for (let left = waiting[height]; left !== undefined; left = waiting[height]) {
        reached = nodeHash(left, reached)
        waiting[height] = undefined
        height += 1
      }
      waiting[height] = reached
      size += 1
    },
    root: () =>
      bytesOf(
        waiting.reduce<Hash | undefined>((right, left) => (left === undefined ? right : right === undefined ? left : nodeHash(left, right)), undefined) ??
          emptyRoot(),
      ),
  }
}

/** The Merkle tree hash of a list. */
export const merkleRoot = (leaves: Iterable<Uint8Array>): Uint8Array => {
  const tree = merkleTree()
  for (const leaf of leaves) tree.add(leaf)
  return tree.root()
}

/** The largest power of two below `size`, which is at least 2. */
const split = (size: number): number => {
  let power = 1
  while (power * 2 < size) power *= 2
  return power
}

/**
 * The proof that a leaf is in the tree of a list: the hashes beside its path, from the leaf up (RFC 6962 section 2.1.1).
 *
 * @throws RangeError where the list has no leaf of that index
 */
export const inclusionProof = (leaves: readonly Uint8Array[], index: number): readonly Uint8Array[] => {
  if (!Number.isSafeInteger(index) || index < 0 || index >= leaves.length) throw new RangeError(`there is no leaf ${index} in a list of ${leaves.length}`)
  const path = (from: number, to: number): readonly Uint8Array[] => {
    if (to - from === 1) return []
    const middle = from + split(to - from)
    return index < middle ? [...path(from, middle), merkleRoot(leaves.slice(middle, to))] : [...path(middle, to), merkleRoot(leaves.slice(from, middle))]
  }
  return path(0, leaves.length)
}

/** A claim that `leaf` is number `index` of the `size` leaves whose tree has `root`. */
export interface Inclusion {
  readonly leaf: Uint8Array
  readonly index: number
  readonly size: number
  readonly proof: readonly Uint8Array[]
  readonly root: Uint8Array
}

/** Whether the proof shows the claim (RFC 9162 section 2.1.3.2). Never throws; at most 53 hashes. */
export const checkInclusion = ({ leaf, index, size, proof, root }: Inclusion): boolean => {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) return false
  // `position` and `last` may exceed 32 bits: division, not shifts.
  let position = index
  let last = size - 1
  let reached = leafHash(leaf)
  for (const sibling of proof) {
    if (last === 0 || sibling.length !== 32) return false
    if (position % 2 === 1 || position === last) {
      reached = nodeHash(hashOf(sibling), reached)
      while (position % 2 === 0 && position > 0) {
        position /= 2
        last = Math.floor(last / 2)
      }
    } else reached = nodeHash(reached, hashOf(sibling))
    position = Math.floor(position / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 && reached === hashOf(root)
}
