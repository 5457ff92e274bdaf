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
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0
  let items = 0

  const take = (length: number): number => {
    const from = at
    if (length > buffer.length - from) throw malformed('it is cut short')
    at += length
    return from
  }
  const argument = (minor: number): number => {
    if (minor < 24) return minor
    if (minor === 24) return buffer.readUInt8(take(1))
    if (minor === 25) return buffer.readUInt16BE(take(2))
    if (minor === 26) return buffer.readUInt32BE(take(4))
    if (minor !== 27) throw malformed('a length is not definite')
    const from = take(8)
    const value = buffer.readUInt32BE(from) * 2 ** 32 + buffer.readUInt32BE(from + 4)
    if (value > Number.MAX_SAFE_INTEGER) throw malformed('an integer is beyond 2^53 - 1')
    return value
  }
  const text = (length: number): string => {
    const from = take(length)
    return buffer.toString('utf8', from, from + length)
  }
  const key = (): string => {
    items += 1
    const head = buffer.readUInt8(take(1))
    if (head >> 5 !== 3) throw malformed('a key is not a string')
    const name = text(argument(head & 31))
    if (name === '__proto__') throw malformed('a key is __proto__')
    return name
  }
  const special = (minor: number): unknown => {
    if (minor === 20) return false
    if (minor === 21) return true
    if (minor === 22) return null
    if (minor === 27) return buffer.readDoubleBE(take(8))
    throw malformed('it has a value that is neither JSON nor bytes')
  }
  const item = (depth: number): unknown => {
    items += 1
    if (items > maxMessageItems) throw new ProtocolError('message-too-large', `a message has at most ${maxMessageItems} items`)
    if (depth > maxMessageDepth) throw new ProtocolError('message-too-large', `a message has at most ${maxMessageDepth} levels`)
    const head = buffer.readUInt8(take(1))
    const minor = head & 31
    switch (head >> 5) {
      case 0:
        return argument(minor)
      case 1:
        return -1 - argument(minor)
      case 2: {
        const length = argument(minor)
        const from = take(length)
        return new Uint8Array(buffer.subarray(from, from + length))
      }
      case 3:
        return text(argument(minor))
      case 4: {
        const length = argument(minor)
        const list: unknown[] = []
        for (let index = 0; index < length; index += 1) list.push(item(depth + 1))
        return list
      }
      case 5: {
        const length = argument(minor)
        const map: Record<string, unknown> = {}
        for (let index = 0; index < length; index += 1) map[key()] = item(depth + 1)
        return map
      }
      case 7:
        return special(minor)
      default:
        throw malformed('it has a tag')
    }
  }

  const value = item(0)
  if (at !== buffer.length) throw malformed('something follows it')
  return value
}

/** Throws `malformed-message` unless the bytes are the canonical form of the value, as it stands after validation. */
export const requireCanonical = (value: unknown, bytes: Uint8Array): void => {
  if (Buffer.compare(encodeCanonical(value), bytes) !== 0) throw malformed('its canonical form has other bytes')
}
