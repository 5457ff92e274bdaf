// The common case of canonical DAG-CBOR without the general encoder's detours: a million files are listed and each list gets a CID, and every message is encoded by its
// sender and again by its receiver. It encodes or it gives up; what is right is decided by the general encoder alone, and property tests hold the two together.

const most = 65_536
const buffer = Buffer.alloc(most)
let at = 0
let busy = false

/** Views of the buffer by their length: most values are short and are encoded over and over. */
const views: (Uint8Array | undefined)[] = []
const viewOf = (length: number): Uint8Array => {
  const view = views[length] ?? buffer.subarray(0, length)
  if (length < 1024) views[length] = view
  return view
}

/**
 * The canonical DAG-CBOR bytes of a plain value that is small and has nothing unusual in it, good until the next call; `undefined` for any other, which is the general
 * encoder's to encode or to refuse.
 */
export const viewPlain = (value: unknown): Uint8Array | undefined => {
  // A getter of the value that encodes something itself would write over it.
  if (busy) return undefined
  busy = true
  at = 0
  try {
    return write(value, 0) ? viewOf(at) : undefined
  } finally {
    busy = false
  }
}

/** The same as {@link viewPlain}, as a copy of its own. {@link canonicalBytes} encodes every value. */
export const encodePlain = (value: unknown): Uint8Array | undefined => {
  const view = viewPlain(value)
  return view && new Uint8Array(view)
}

/** Deeper values go to the general encoder, which says what is wrong with them. */
const deepest = 40

const write = (value: unknown, depth: number): boolean => {
  if (depth > deepest || at + 16 > most) return false
  switch (typeof value) {
    case 'string':
      return text(value)
    case 'number':
      return number(value)
    case 'boolean':
      buffer[at++] = value ? 0xf5 : 0xf4
      return true
    case 'object':
      if (value === null) {
        buffer[at++] = 0xf6
        return true
      }
      return Array.isArray(value) ? list(value, depth) : value instanceof Uint8Array ? bytes(value) : map(value, depth)
    default:
      return false
  }
}

/** Major type and argument, in the shortest form (RFC 8949 section 4.2.1). */
const head = (major: number, argument: number): void => {
  if (argument < 24) buffer[at++] = major | argument
  else if (argument < 0x100) {
    buffer[at++] = major | 24
    buffer[at++] = argument
  } else if (argument < 0x10000) {
    buffer[at++] = major | 25
    at = buffer.writeUInt16BE(argument, at)
  } else if (argument < 0x100000000) {
    buffer[at++] = major | 26
    at = buffer.writeUInt32BE(argument, at)
  } else {
    buffer[at++] = major | 27
    at = buffer.writeUInt32BE(Math.floor(argument / 2 ** 32), at)
    at = buffer.writeUInt32BE(argument % 2 ** 32, at)
  }
}

const number = (value: number): boolean => {
  if (Number.isSafeInteger(value)) {
    if (Object.is(value, -0)) return false
    if (value < 0) head(0x20, -1 - value)
    else head(0, value)
    return true
  }
  // Beyond 53 bits a whole number is not a matter of course.
  if (!Number.isFinite(value) || Number.isInteger(value)) return false
  buffer[at++] = 0xfb
  at = buffer.writeDoubleBE(value, at)
  return true
}

const ascii = (value: string): boolean => {
  const { length } = value
  if (at + length + 9 > most) return false
  const start = at
  head(0x60, length)
  for (let index = 0; index < length; index++) {
    const code = value.charCodeAt(index)
    if (code > 0x7f) {
      at = start
      return false
    }
    buffer[at++] = code
  }
  return true
}

const text = (value: string): boolean => {
  if (ascii(value)) return true
  // A leading byte order mark is lost by decoders: whether such a text may be encoded is not decided here.
  if (!value.isWellFormed() || value.startsWith('\ufeff')) return false
  const length = Buffer.byteLength(value)
  if (at + length + 9 > most) return false
  head(0x60, length)
  at += buffer.write(value, at)
  return true
}

const bytes = (value: Uint8Array): boolean => {
  if (at + value.length + 9 > most) return false
  head(0x40, value.length)
  buffer.set(value, at)
  at += value.length
  return true
}

const list = (values: readonly unknown[], depth: number): boolean => {
  head(0x80, values.length)
  for (let index = 0; index < values.length; index++) if (!write(values[index], depth + 1)) return false
  return true
}

const map = (value: object, depth: number): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return false
  const keys = Object.keys(value)
  // Shorter keys first, then by their bytes. Keys of one object are few: an insertion sort is the fastest.
  if (keys.length > 24) return false
  for (let index = 1; index < keys.length; index++) {
    const key = keys[index] as string
    let place = index
    for (let before = keys[place - 1]; before !== undefined && isAfter(before, key); before = keys[place - 1]) keys[place--] = before
    keys[place] = key
  }
  head(0xa0, keys.length)
  for (const key of keys) {
    // What a CID looks like has a form of its own; `__proto__` is a key only until somebody copies the object.
    if (key === '__proto__' || key === '/' || key === 'asCID' || !ascii(key) || !write((value as Readonly<Record<string, unknown>>)[key], depth + 1))
      return false
  }
  return true
}

const isAfter = (one: string, other: string): boolean => (one.length === other.length ? one > other : one.length > other.length)
