import { encode } from '@ipld/dag-cbor'
import { encodePlain } from '@skrei/job-spec'
import { ProtocolError } from './error.ts'

/** The largest message, in bytes. */
export const maxMessageBytes = 1_048_576
/** The most values (keys and containers count) in one message: what bounds the memory that its bytes unfold to. */
export const maxMessageItems = 65_536
/** The deepest nesting of lists and maps in one message. */
export const maxMessageDepth = 32

const malformed = (problem: string) => new ProtocolError('malformed-message', `the message is not canonical DAG-CBOR: ${problem}`)
const tooLarge = (bytes: Uint8Array): void => {
  if (bytes.length > maxMessageBytes) throw new ProtocolError('message-too-large', `a message has at most ${maxMessageBytes} bytes, this one ${bytes.length}`)
}

/**
 * The canonical DAG-CBOR bytes of a plain value: map keys sorted by length, then bytes; shortest integers; floats of 64 bits, and only where
 * a number is not an integer of at most 53 bits. What DAG-CBOR cannot say (undefined, NaN, an infinity) is an error.
 *
 * @throws ProtocolError `malformed-message`, `message-too-large`
 */
export const encodeCanonical = (value: unknown): Uint8Array => {
  let bytes: Uint8Array
  try {
    // A copy: what the encoder returns may be a part of a shared pool.
    bytes = encodePlain(value) ?? new Uint8Array(encode(value))
  } catch (error) {
    throw new ProtocolError('malformed-message', `the value has no DAG-CBOR form: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
  tooLarge(bytes)
  return bytes
}

/**
 * Reads bytes within the limits of a message: one pass, no look-ahead, no allocation by a length that the bytes do not back. The values are JSON's and
 * byte strings: no tags (so no links), no integer beyond 2^53 − 1. What is not canonical is found by {@link requireCanonical}: before that, the value
 * may not be trusted, hashed or compared.
 *
 * Not `decode` of `@ipld/dag-cbor`, which loses a U+FEFF at the start of a string, so that an honest message would not equal its own canonical form.
 *
 * @throws ProtocolError `malformed-message`, `message-too-large`
 */
export const decodeBounded = (bytes: Uint8Array): unknown => {
  tooLarge(bytes)
  const reader: Reader = { buffer: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), at: 0, items: 0, isCanonical: true }
  seen = undefined
  const value = item(reader, 0)
  if (reader.at !== reader.buffer.length) throw malformed('something follows it')
  if (reader.isCanonical) seen = { value, bytes }
  return value
}

/** What was read last, where it was seen on the way that its bytes are its canonical form. */
let seen: { readonly value: unknown; readonly bytes: Uint8Array } | undefined

interface Reader {
  readonly buffer: Buffer
  at: number
  items: number
  /** Nothing was there that has a shorter form, another place, or, being unusual, is left to the encoder to decide. */
  isCanonical: boolean
}

const take = (reader: Reader, length: number): number => {
  const from = reader.at
  if (length > reader.buffer.length - from) throw malformed('it is cut short')
  reader.at = from + length
  return from
}

const byte = (reader: Reader): number => {
  const value = reader.buffer[reader.at]
  if (value === undefined) throw malformed('it is cut short')
  reader.at += 1
  return value
}

/** A number that was written in more bytes than `least` needs is not canonical. */
const noLess = (reader: Reader, value: number, least: number): number => {
  if (value < least) reader.isCanonical = false
  return value
}

const argument = (reader: Reader, minor: number): number => {
  if (minor < 24) return minor
  if (minor === 24) return noLess(reader, byte(reader), 24)
  if (minor === 25) return noLess(reader, reader.buffer.readUInt16BE(take(reader, 2)), 2 ** 8)
  if (minor === 26) return noLess(reader, reader.buffer.readUInt32BE(take(reader, 4)), 2 ** 16)
  if (minor !== 27) throw malformed('a length is not definite')
  const from = take(reader, 8)
  const value = reader.buffer.readUInt32BE(from) * 2 ** 32 + reader.buffer.readUInt32BE(from + 4)
  if (value > Number.MAX_SAFE_INTEGER) throw malformed('an integer is beyond 2^53 - 1')
  return noLess(reader, value, 2 ** 32)
}

// Most texts of a message were in the last one: its keys, the network, the two nodes. To find one again is cheaper than to make it, above all as the key of a map.
const longestKnown = 64
const knownTexts = 1024
const keys: (string | undefined)[] = new Array(knownTexts).fill(undefined)
const values: (string | undefined)[] = new Array(knownTexts).fill(undefined)

const isText = (text: string, buffer: Buffer, from: number, length: number): boolean => {
  if (text.length !== length) return false
  for (let index = 0; index < length; index++) if (text.charCodeAt(index) !== buffer[from + index]) return false
  return true
}

const text = (reader: Reader, length: number, known: (string | undefined)[]): string => {
  const { buffer } = reader
  const from = take(reader, length)
  if (length === 0) return ''
  if (length > longestKnown) {
    const long = buffer.toString('utf8', from, from + length)
    if (long.length !== length || Buffer.byteLength(long) !== length) reader.isCanonical = false
    return long
  }
  const [first = 0, middle = 0, last = 0] = [buffer[from], buffer[from + (length >> 1)], buffer[from + length - 1]]
  const place = (length * 31 + first * 7 + middle * 13 + last * 61) % knownTexts
  const before = known[place]
  if (before !== undefined && isText(before, buffer, from, length)) return before
  const made = buffer.toString('utf8', from, from + length)
  // Only plain ASCII has as many characters as bytes, each the same number.
  if (isText(made, buffer, from, length)) known[place] = made
  else reader.isCanonical = false
  return made
}

const key = (reader: Reader): string => {
  reader.items += 1
  const head = byte(reader)
  if (head >> 5 !== 3) throw malformed('a key is not a string')
  const name = text(reader, argument(reader, head & 31), keys)
  if (name === '__proto__') throw malformed('a key is __proto__')
  if (name === '/' || name === 'asCID') reader.isCanonical = false
  return name
}

/** Shorter keys come first, then by their bytes, which are their characters where this counts. */
const isBefore = (one: string, other: string): boolean => (one.length === other.length ? one < other : one.length < other.length)

const special = (reader: Reader, minor: number): unknown => {
  if (minor === 20) return false
  if (minor === 21) return true
  if (minor === 22) return null
  if (minor === 27) {
    const value = reader.buffer.readDoubleBE(take(reader, 8))
    if (!Number.isFinite(value) || Number.isInteger(value)) reader.isCanonical = false
    return value
  }
  throw malformed('it has a value that is neither JSON nor bytes')
}

const item = (reader: Reader, depth: number): unknown => {
  reader.items += 1
  if (reader.items > maxMessageItems) throw new ProtocolError('message-too-large', `a message has at most ${maxMessageItems} items`)
  if (depth > maxMessageDepth) throw new ProtocolError('message-too-large', `a message has at most ${maxMessageDepth} levels`)
  const head = byte(reader)
  const minor = head & 31
  switch (head >> 5) {
    case 0:
      return argument(reader, minor)
    case 1: {
      const value = -1 - argument(reader, minor)
      if (!Number.isSafeInteger(value)) reader.isCanonical = false
      return value
    }
    case 2: {
      const length = argument(reader, minor)
      const from = take(reader, length)
      return new Uint8Array(reader.buffer.subarray(from, from + length))
    }
    case 3:
      return text(reader, argument(reader, minor), values)
    case 4: {
      const length = argument(reader, minor)
      const list: unknown[] = []
      for (let index = 0; index < length; index += 1) list.push(item(reader, depth + 1))
      return list
    }
    case 5: {
      const length = argument(reader, minor)
      const map: Record<string, unknown> = {}
      let before: string | undefined
      for (let index = 0; index < length; index += 1) {
        const name = key(reader)
        if (before !== undefined && !isBefore(before, name)) reader.isCanonical = false
        before = name
        map[name] = item(reader, depth + 1)
      }
      return map
    }
    case 7:
      return special(reader, minor)
    default:
      throw malformed('it has a tag')
  }
}

/** Throws `malformed-message` unless the bytes are the canonical form of the value, as it stands after validation. */
export const requireCanonical = (value: unknown, bytes: Uint8Array): void => {
  const read = seen
  seen = undefined
  if (read !== undefined && read.value === value && read.bytes === bytes) return
  if (Buffer.compare(encodeCanonical(value), bytes) !== 0) throw malformed('its canonical form has other bytes')
}
