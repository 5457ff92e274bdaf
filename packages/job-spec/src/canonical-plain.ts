// The common case of canonical DAG-CBOR, several times as fast as the general encoder: a million files are listed, and each list gets a CID.
// It encodes or it gives up; what is right is decided by the general encoder alone, and a property test holds the two together.

const most = 65_536
const buffer = new Uint8Array(most)
let at = 0
let busy = false

/** The canonical bytes of a small value of nulls, booleans, whole numbers, ASCII text, lists and plain objects; `undefined` for any other. */
export const encodePlain = (value: unknown): Uint8Array | undefined => {
  // A getter of the value that encodes something itself would write over it.
  if (busy) return undefined
  busy = true
  at = 0
  try {
    return write(value, 0) ? buffer.slice(0, at) : undefined
  } finally {
    busy = false
  }
}

/** Deeper values go to the general encoder, which says what is wrong with them. */
const deepest = 32

const write = (value: unknown, depth: number): boolean => {
  if (depth > deepest || at + 16 > most) return false
  switch (typeof value) {
    case 'string':
      return text(value)
    case 'number':
      if (!Number.isSafeInteger(value) || Object.is(value, -0)) return false
      head(value < 0 ? 0x20 : 0, value < 0 ? -1 - value : value)
      return true
    case 'boolean':
      buffer[at++] = value ? 0xf5 : 0xf4
      return true
    case 'object':
      if (value === null) {
        buffer[at++] = 0xf6
        return true
      }
      return Array.isArray(value) ? list(value, depth) : object(value, depth)
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
  } else {
    const bytes = argument < 0x10000 ? 2 : argument < 0x100000000 ? 4 : 8
    buffer[at++] = major | (bytes === 2 ? 25 : bytes === 4 ? 26 : 27)
    let rest = argument
    for (let index = bytes - 1; index >= 0; index--) {
      buffer[at + index] = rest % 256
      rest = Math.floor(rest / 256)
    }
    at += bytes
  }
}

const text = (value: string): boolean => {
  const { length } = value
  if (at + length + 9 > most) return false
  head(0x60, length)
  for (let index = 0; index < length; index++) {
    const code = value.charCodeAt(index)
    if (code > 0x7f) return false
    buffer[at++] = code
  }
  return true
}

const list = (values: readonly unknown[], depth: number): boolean => {
  head(0x80, values.length)
  for (let index = 0; index < values.length; index++) if (!write(values[index], depth + 1)) return false
  return true
}

const object = (value: object, depth: number): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return false
  const keys = Object.keys(value)
  // DAG-CBOR: shorter keys first, then by their bytes. Keys of few objects are many: an insertion sort is the fastest.
  if (keys.length > 24) return false
  for (let index = 1; index < keys.length; index++) {
    const key = keys[index] as string
    let place = index
    for (let before = keys[place - 1]; before !== undefined && isAfter(before, key); before = keys[place - 1]) keys[place--] = before
    keys[place] = key
  }
  head(0xa0, keys.length)
  for (const key of keys) {
    if (key === '__proto__' || key === '/' || !text(key)) return false
    if (!write((value as Readonly<Record<string, unknown>>)[key], depth + 1)) return false
  }
  return true
}

const isAfter = (one: string, other: string): boolean => (one.length === other.length ? one > other : one.length > other.length)
