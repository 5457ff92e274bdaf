import { createHash } from 'node:crypto'
import type { TreeEntry } from '@skrei/job-spec'
import { merkleTree } from '@skrei/protocol'
import { VerifierError } from './error.ts'
import { concatenate, digestBytes, exitBytes, unsigned32, unsigned64 } from './fixed-width.ts'
import type { Digest } from './method.ts'

const text = new TextEncoder()
const maxPathBytes = 4096

// The first byte of a leaf says what it is.
const kinds = { header: 0, file: 1, stdout: 2, exit: 3 } as const

/** The text of the first leaf: the version of this digest. */
export const resultTreeTag = 'skrei/result/1'

/** A result in one hash. */
export interface ResultTree {
  /** The root of the tree. */
  readonly digest: Digest
  /** How many files it covers. */
  readonly files: number
  /** How many bytes these hold. */
  readonly bytes: number
}

export interface ResultTreeOptions {
  /** SHA-256 of what the program wrote to its standard output, where the job says that this belongs to the result. */
  readonly stdout?: Digest
  readonly signal?: AbortSignal
}

const pathBytes = (path: string): Uint8Array => {
  const bytes = text.encode(path)
  const problem = !path.isWellFormed()
    ? 'it has half of a surrogate pair'
    : bytes.length > maxPathBytes
      ? `it has more than ${maxPathBytes} bytes`
      : path.includes('\0')
        ? 'it has a zero byte'
        : path.split('/').some((segment) => segment === '' || segment === '.' || segment === '..')
          ? 'it is not relative and normal'
          : undefined
  if (problem !== undefined) throw new VerifierError('tree-path-invalid', `the path ${JSON.stringify(path.slice(0, 256))} cannot stand in a result: ${problem}`)
  return bytes
}

const precedes = (left: Uint8Array, right: Uint8Array): boolean => {
  const shared = Math.min(left.length, right.length)
  for (let index = 0; index < shared; index += 1) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0)
    if (difference !== 0) return difference < 0
  }
  return left.length < right.length
}

const contentHash = async (entry: TreeEntry, signal: AbortSignal | undefined): Promise<Uint8Array> => {
  const changed = (size: number) =>
    new VerifierError('tree-changed', `${JSON.stringify(entry.path)} was listed with ${entry.size} bytes and ${size > entry.size ? 'has more' : `has ${size}`}`)
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of entry.open(signal === undefined ? {} : { signal })) {
    signal?.throwIfAborted()
    size += chunk.length
    if (size > entry.size) throw changed(size)
    hash.update(chunk)
  }
  signal?.throwIfAborted()
  if (size !== entry.size) throw changed(size)
  return hash.digest()
}

/**
 * The digest of a result: of its files, its exit code and, where it belongs to the result, its standard output.
 *
 * It is the Merkle tree hash of RFC 6962 section 2.1 over SHA-256 of these leaves, in this order; integers are big-endian:
 *
 * 1. `00`, the ASCII text `skrei/result/1`
 * 2. for each file, sorted by the bytes of its path: `01`, u32 length of the path in bytes, the path in UTF-8, u64 size in bytes, SHA-256 of the content
 * 3. where `stdout` is given: `02`, its 32 bytes
 * 4. `03`, the exit code as 32 bits
 *
 * Only files count: an empty directory, a mode, a time are no part of a result. Contents are streamed one after another and memory grows with the logarithm
 * of the number of files.
 *
 * @param files relative, normal, `/`-separated paths, strictly sorted by their UTF-8 bytes (not by JavaScript's `<`, which differs beyond U+FFFF)
 * @param exit −2^31 to 2^32 − 1
 * @throws VerifierError; what `files` throws; the reason of the signal
 */
export const resultTree = async (files: AsyncIterable<TreeEntry>, exit: number, { stdout, signal }: ResultTreeOptions = {}): Promise<ResultTree> => {
  signal?.throwIfAborted()
  const last = concatenate([Uint8Array.of(kinds.exit), exitBytes(exit)])
  const output = stdout === undefined ? undefined : concatenate([Uint8Array.of(kinds.stdout), digestBytes(stdout, 'stdout')])
  const tree = merkleTree()
  tree.add(concatenate([Uint8Array.of(kinds.header), text.encode(resultTreeTag)]))
  let count = 0
  let bytes = 0
  let previous: Uint8Array | undefined
  for await (const entry of files) {
    signal?.throwIfAborted()
    const path = pathBytes(entry.path)
    if (previous !== undefined && !precedes(previous, path))
      throw new VerifierError(
        'tree-unsorted',
        `the path ${JSON.stringify(entry.path.slice(0, 256))} does not come after the one before it, by the order of bytes`,
      )
    if (!Number.isSafeInteger(entry.size) || entry.size < 0)
      throw new VerifierError('field-invalid', `the size of ${JSON.stringify(entry.path.slice(0, 256))} is ${entry.size}, expected a whole number of bytes`)
    const hash = await contentHash(entry, signal)
    tree.add(concatenate([Uint8Array.of(kinds.file), unsigned32(path.length, 'path length'), path, unsigned64(BigInt(entry.size)), hash]))
    previous = path
    count += 1
    bytes += entry.size
  }
  if (output !== undefined) tree.add(output)
  tree.add(last)
  return { digest: Buffer.from(tree.root()).toString('hex'), files: count, bytes }
}
