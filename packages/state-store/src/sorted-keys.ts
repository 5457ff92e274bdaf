/** A set of strings that is read in the order of their UTF-8 bytes, as SQLite compares text. */
export interface SortedKeys {
  add(key: string): void
  remove(key: string): void
  /** Those after `key`, or all. */
  after(key: string | undefined): Iterator<string> & Iterable<string>
}

/** Chunks of sorted keys: a change touches one chunk, so a set of a million costs little more than one of a hundred. */
const longestChunk = 512

export const sortedKeys = (): SortedKeys => {
  const chunks: string[][] = [[]]

  /** The chunk that holds a key, or would. */
  const chunkOf = (key: string): number => {
    let [low, high] = [0, chunks.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      const first = chunks[middle]?.[0]
      if (first !== undefined && compare(first, key) <= 0) low = middle
      else high = middle - 1
    }
    return low
  }

  return {
    add: (key) => {
      const at = chunkOf(key)
      const chunk = chunks[at] ?? []
      const place = lowerBound(chunk, key)
      if (chunk[place] === key) return
      chunk.splice(place, 0, key)
      if (chunk.length > longestChunk) chunks.splice(at + 1, 0, chunk.splice(longestChunk / 2))
    },
    remove: (key) => {
      const at = chunkOf(key)
      const chunk = chunks[at] ?? []
      const place = lowerBound(chunk, key)
      if (chunk[place] !== key) return
      chunk.splice(place, 1)
      if (chunk.length === 0 && chunks.length > 1) chunks.splice(at, 1)
    },
    after: function* (key) {
      let at = key === undefined ? 0 : chunkOf(key)
      let place = key === undefined ? 0 : lowerBound(chunks[at] ?? [], key)
      if (key !== undefined && chunks[at]?.[place] === key) place++
      for (; at < chunks.length; at++, place = 0) for (; place < (chunks[at]?.length ?? 0); place++) yield chunks[at]?.[place] ?? ''
    },
  }
}

const lowerBound = (chunk: readonly string[], key: string): number => {
  let [low, high] = [0, chunk.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (compare(chunk[middle] ?? '', key) < 0) low = middle + 1
    else high = middle
  }
  return low
}

/** UTF-8 byte order. It differs from that of UTF-16 code units only where a surrogate meets a unit above the surrogates. */
const compare = (one: string, other: string): number => {
  if (one === other) return 0
  const shorter = Math.min(one.length, other.length)
  for (let place = 0; place < shorter; place++) {
    const [a, b] = [one.charCodeAt(place), other.charCodeAt(place)]
    if (a !== b) return rank(a) - rank(b)
  }
  return one.length - other.length
}
const rank = (unit: number): number => (unit >= 0xe000 ? unit - 0x800 : unit >= 0xd800 ? unit + 0x2000 : unit)
