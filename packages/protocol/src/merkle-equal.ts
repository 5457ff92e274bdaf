import { hash } from 'node:crypto'

const sha256 = (prefix: number, ...parts: readonly Uint8Array[]): Uint8Array => hash('sha256', Buffer.concat([Uint8Array.of(prefix), ...parts]), 'buffer')

/**
 * The Merkle tree hash (RFC 6962 section 2.1) of a list of `count` times the same leaf, in O(log count) hashes: subtrees of one size are one hash.
 *
 * @throws RangeError where `count` is no safe integer of at least 1
 */
export const merkleRootOfEqual = (leaf: Uint8Array, count: number): Uint8Array => {
  if (!Number.isSafeInteger(count) || count < 1) throw new RangeError(`a list of ${count} leaves has no such root`)
  let complete = sha256(0, leaf)
  let root: Uint8Array | undefined
  // `count` may exceed 32 bits: division, not shifts.
  for (let left = count; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) root = root === undefined ? complete : sha256(1, complete, root)
    complete = sha256(1, complete, complete)
  }
  return new Uint8Array(root ?? complete)
}
