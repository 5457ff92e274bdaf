import { hash } from 'node:crypto'
import { decode, encode } from '@ipld/dag-cbor'
import { encodePlain, viewPlain } from './canonical-plain.ts'
import type { JobSpec } from './job.ts'

/** CIDv1, dag-cbor, sha2-256, 32 bytes: https://github.com/multiformats/cid */
const cidPrefix = Uint8Array.of(0x01, 0x71, 0x12, 0x20)

/** Bytes or a value that have no canonical form. */
export class NotCanonicalError extends Error {
  override readonly name = 'NotCanonicalError'
  readonly code = 'not-canonical'

  constructor(message: string, options?: ErrorOptions) {
    super(`not canonical DAG-CBOR: ${message}`, options)
  }
}

/** Text with half a surrogate pair would be encoded as another text. */
const assertText = (text: string): void => {
  if (!text.isWellFormed()) throw new NotCanonicalError('a text holds half of a surrogate pair')
  // Decoders of UTF-8, dag-cbor's among them, drop a leading byte order mark: the text would not survive.
  if (text.startsWith('\ufeff')) throw new NotCanonicalError('a text begins with a byte order mark')
}

/** `__proto__` is a key only until somebody copies the object. */
const assertWellFormed = (value: unknown): void => {
  if (typeof value === 'string') {
    assertText(value)
  } else if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
    for (const key in value) {
      assertText(key)
      if (key === '__proto__') throw new NotCanonicalError('a key is __proto__')
      assertWellFormed((value as Record<string, unknown>)[key])
    }
  }
}

/**
 * The canonical DAG-CBOR bytes of a value made of null, booleans, numbers, text, bytes, lists and plain objects: keys sorted, numbers in
 * their shortest integer form or as 64-bit floats. Throws a {@link NotCanonicalError} for `undefined`, NaN, infinities, ill-formed text, text that begins with a byte order mark, and the key `__proto__`.
 */
export const canonicalBytes = (value: unknown): Uint8Array => {
  try {
    const plain = encodePlain(value)
    if (plain !== undefined) return plain
    assertWellFormed(value)
    return encode(value)
  } catch (error) {
    if (error instanceof NotCanonicalError) throw error
    throw new NotCanonicalError(error instanceof Error ? error.message : String(error), { cause: error })
  }
}

const equal = (left: Uint8Array, right: Uint8Array): boolean => left.length === right.length && left.every((byte, index) => byte === right[index])

/**
 * Decodes bytes that must be canonical: whatever does not encode to the same bytes again (unsorted or repeated keys, long integers, tags, trailing bytes)
 * is refused with a {@link NotCanonicalError}. The value is untrusted still: validate it.
 */
export const decodeCanonical = (bytes: Uint8Array, options: { readonly maxBytes?: number } = {}): unknown => {
  const maxBytes = options.maxBytes ?? 2 ** 20
  if (bytes.length > maxBytes) throw new NotCanonicalError(`${bytes.length} bytes, and ${maxBytes} are allowed`)
  let value: unknown
  try {
    value = decode(bytes)
  } catch (error) {
    // Nesting as deep as the bytes are many overflows the stack: a RangeError like any other malformed input.
    throw new NotCanonicalError(error instanceof Error ? error.message : String(error), { cause: error })
  }
  if (!equal(canonicalBytes(value), bytes)) throw new NotCanonicalError('it encodes to other bytes again')
  return value
}

const alphabet = Buffer.from('abcdefghijklmnopqrstuvwxyz234567')
/** `b` and the prefix and digest in base32: what is written anew for each CID, since a list of a million files has a million. */
const cidText = Buffer.from('b'.repeat(59))

/** The prefix and a digest of 32 bytes (as binary text: a character a byte) in RFC 4648 base32, lower case, no padding, after the `b` that names this base. */
const cidOfDigest = (digest: string): string => {
  let at = 1
  let bits = 0
  let held = 0
  const push = (byte: number): void => {
    held = ((held << 8) | byte) & 0xfff
    for (bits += 8; bits >= 5; ) {
      bits -= 5
      cidText[at++] = alphabet[(held >> bits) & 31] as number
    }
  }
  for (let index = 0; index < cidPrefix.length; index++) push(cidPrefix[index] as number)
  for (let index = 0; index < digest.length; index++) push(digest.charCodeAt(index))
  cidText[at] = alphabet[(held << (5 - bits)) & 31] as number
  return cidText.toString('latin1')
}

/** The CID (v1, dag-cbor, sha2-256) of a value's canonical form. */
// Text is made three times as fast as a buffer of the digest.
export const cidOf = (value: unknown): string => cidOfDigest(hash('sha256', viewPlain(value) ?? canonicalBytes(value), 'binary'))

/** The CID of a job's canonical form: the same on every machine, whatever the key order or the file format. */
export const specCid = (spec: JobSpec): string => cidOf(spec)
