import { hash } from 'node:crypto'
import { decode, encode } from '@ipld/dag-cbor'
import { encodePlain } from './canonical-plain.ts'
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

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'

/** The prefix and a digest of 32 bytes in RFC 4648 base32, lower case, no padding. */
const base32 = (digest: Uint8Array): string => {
  let text = ''
  let bits = 0
  let held = 0
  const push = (byte: number): void => {
    held = ((held << 8) | byte) & 0xfff
    for (bits += 8; bits >= 5; ) {
      bits -= 5
      text += alphabet[(held >> bits) & 31]
    }
  }
  for (let index = 0; index < cidPrefix.length; index++) push(cidPrefix[index] as number)
  for (let index = 0; index < digest.length; index++) push(digest[index] as number)
  return bits > 0 ? text + alphabet[(held << (5 - bits)) & 31] : text
}

/** The CID (v1, dag-cbor, sha2-256) of a value's canonical form. */
export const cidOf = (value: unknown): string => `b${base32(hash('sha256', canonicalBytes(value), 'buffer'))}`

/** The CID of a job's canonical form: the same on every machine, whatever the key order or the file format. */
export const specCid = (spec: JobSpec): string => cidOf(spec)
