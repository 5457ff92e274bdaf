import { isWithin, type KeyRange } from './key-range.ts'
import { compareKeys } from './order-key.ts'
import { type SortedList, sortedList } from './sorted-list.ts'

/**
 * A set of order keys that is put in order only when somebody asks for the order, and then only where it has changed. Most keys come and go in between: a row
 * passes through many states that are hardly ever listed.
 */
export interface KeyIndex {
  readonly keys: Set<string>
  order: SortedList<string> | undefined
  /** Added or deleted since the order was asked for; absent while nothing was: most indexes are small, and never asked. */
  changed: Set<string> | undefined
}

export const keyIndex = (keys: Iterable<string> = []): KeyIndex => ({ keys: new Set(keys), order: undefined, changed: undefined })

const note = (index: KeyIndex, key: string): void => {
  index.changed ??= new Set()
  index.changed.add(key)
}

export const addKey = (index: KeyIndex, key: string): void => {
  index.keys.add(key)
  if (index.order) note(index, key)
}

export const deleteKey = (index: KeyIndex, key: string): void => {
  index.keys.delete(key)
  if (index.order) note(index, key)
}

/** Those of a range, in its order. */
export const keysWithin = (index: KeyIndex, range: KeyRange): Iterable<string> => {
  const { keys, changed } = index
  if (index.order === undefined) {
    index.order = sortedList(compareKeys)
    for (const one of [...keys].sort(compareKeys)) index.order.add(one)
  }
  const { order } = index
  for (const one of changed ?? []) {
    if (keys.has(one)) order.add(one)
    else order.delete(one)
  }
  index.changed = undefined
  const { descending, from, after, before } = range
  const inOrder = descending ? order.before(before) : from === undefined ? order.after(after) : order.from(from)
  return (descending ? from : before) === undefined ? inOrder : until(inOrder, range)
}

function* until(keys: Iterable<string>, range: KeyRange): Generator<string> {
  for (const key of keys) {
    if (!isWithin(key, range)) return
    yield key
  }
}
