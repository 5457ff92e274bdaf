const CHUNK = 512

/** A sorted set in chunks: appending and taking from the front, which rising ids do, cost next to nothing, and anything else a short move. */
export interface SortedList<T> {
  readonly size: () => number
  add(item: T): void
  delete(item: T): void
  first(): T | undefined
  /** In order, from the first item that is greater than `item`; from the beginning without one. */
  after(item?: T): IterableIterator<T>
  /** In order, from the first item that is not less than `item`. */
  from(item: T): IterableIterator<T>
  /** In reverse, from the last item that is less than `item`; from the end without one. */
  before(item?: T): IterableIterator<T>
  clone(): SortedList<T>
}

export const sortedList = <T>(compare: (a: T, b: T) => number, known: readonly T[][] = [], count = 0): SortedList<T> => {
  const chunks: T[][] = known.map((chunk) => chunk.slice())
  let size = count

  /** The last chunk that starts at or before the item. */
  const chunkOf = (item: T): number => {
    let low = 0
    let high = chunks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (compare((chunks[middle] as T[])[0] as T, item) <= 0) low = middle
      else high = middle - 1
    }
    return low
  }

  /** Where in the chunk the first item stands that is not less than `item`. */
  const placeOf = (chunk: readonly T[], item: T): number => {
    let low = 0
    let high = chunk.length
    if (high > 0 && compare(chunk[high - 1] as T, item) < 0) return high
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compare(chunk[middle] as T, item) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  const add = (item: T): void => {
    if (chunks.length === 0) chunks.push([])
    const at = chunkOf(item)
    const chunk = chunks[at] as T[]
    const place = placeOf(chunk, item)
    if (place < chunk.length && compare(chunk[place] as T, item) === 0) return
    size += 1
    if (chunk.length < CHUNK) {
      if (place === chunk.length) chunk.push(item)
      else chunk.splice(place, 0, item)
    } else if (place === chunk.length) {
      chunks.splice(at + 1, 0, [item])
    } else {
      const upper = chunk.splice(CHUNK / 2)
      chunks.splice(at + 1, 0, upper)
      if (place <= CHUNK / 2) chunk.splice(place, 0, item)
      else upper.splice(place - CHUNK / 2, 0, item)
    }
  }

  const remove = (item: T): void => {
    if (chunks.length === 0) return
    const at = chunkOf(item)
    const chunk = chunks[at] as T[]
    const place = placeOf(chunk, item)
    if (place >= chunk.length || compare(chunk[place] as T, item) !== 0) return
    size -= 1
    if (chunk.length === 1) chunks.splice(at, 1)
    else if (place === 0) chunk.shift()
    else chunk.splice(place, 1)
  }

  function* upwards(first: number, start: number): IterableIterator<T> {
    for (let at = first; at < chunks.length; at += 1) {
      const chunk = chunks[at] as T[]
      for (let place = at === first ? start : 0; place < chunk.length; place += 1) yield chunk[place] as T
    }
  }

  function* downwards(last: number, end: number): IterableIterator<T> {
    for (let at = last; at >= 0; at -= 1) {
      const chunk = chunks[at] as T[]
      for (let place = (at === last ? end : chunk.length) - 1; place >= 0; place -= 1) yield chunk[place] as T
    }
  }

  const after = (item?: T): IterableIterator<T> => {
    if (item === undefined || chunks.length === 0) return upwards(0, 0)
    const at = chunkOf(item)
    const chunk = chunks[at] as T[]
    const place = placeOf(chunk, item)
    return upwards(at, place < chunk.length && compare(chunk[place] as T, item) === 0 ? place + 1 : place)
  }

  const from = (item: T): IterableIterator<T> => {
    if (chunks.length === 0) return upwards(0, 0)
    const at = chunkOf(item)
    return upwards(at, placeOf(chunks[at] as T[], item))
  }

  const before = (item?: T): IterableIterator<T> => {
    if (chunks.length === 0) return downwards(-1, 0)
    const at = item === undefined ? chunks.length - 1 : chunkOf(item)
    const chunk = chunks[at] as T[]
    return downwards(at, item === undefined ? chunk.length : placeOf(chunk, item))
  }

  return { size: () => size, add, delete: remove, first: () => chunks[0]?.[0], after, from, before, clone: () => sortedList(compare, chunks, size) }
}
