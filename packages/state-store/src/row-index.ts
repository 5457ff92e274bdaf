import type { ListWhere, Row } from './index.ts'
import { addKey, deleteKey, type KeyIndex, keyIndex, keysWithin } from './key-index.ts'
import { rangeOf } from './key-range.ts'

/** The keys of rows that have something in common. One alone stands for itself: most parents have one child, and a set takes as much memory as a row. */
type Keys = KeyIndex | string

/** Of the rows of one kind, an index for each thing that `list` can ask for. They hold order keys. */
export interface RowIndex {
  readonly ids: KeyIndex
  readonly byParent: Map<string, Keys>
  readonly byState: Map<string, Keys>
  readonly byOpen: Map<boolean, Keys>
}

type Indexed = Pick<Row, 'parent' | 'state' | 'open'>

export const rowIndex = (): RowIndex => ({ ids: keyIndex(), byParent: new Map(), byState: new Map(), byOpen: new Map() })

const cloned = <K>(index: Map<K, Keys>): Map<K, Keys> => new Map([...index].map(([key, keys]) => [key, typeof keys === 'string' ? keys : keyIndex(keys.keys)]))

export const cloneRowIndex = ({ ids, byParent, byState, byOpen }: RowIndex): RowIndex => ({
  ids: keyIndex(ids.keys),
  byParent: cloned(byParent),
  byState: cloned(byState),
  byOpen: cloned(byOpen),
})

const addTo = <K>(index: Map<K, Keys>, value: K, key: string): void => {
  const known = index.get(value)
  if (known === undefined) index.set(value, key)
  else if (typeof known !== 'string') addKey(known, key)
  else if (known !== key) index.set(value, keyIndex([known, key]))
}

const deleteFrom = <K>(index: Map<K, Keys>, value: K, key: string): void => {
  const known = index.get(value)
  if (known === undefined || (typeof known === 'string' && known !== key)) return
  if (typeof known !== 'string') deleteKey(known, key)
  if (typeof known === 'string' || known.keys.size === 0) index.delete(value)
}

/** A row was put where another one was, or none, or was taken away. */
export const moveInIndex = (index: RowIndex, key: string, before: Indexed | undefined, row: Indexed | undefined): void => {
  if (!before && row) addKey(index.ids, key)
  else if (before && !row) deleteKey(index.ids, key)
  if (before?.parent !== row?.parent) {
    if (before?.parent !== undefined) deleteFrom(index.byParent, before.parent, key)
    if (row?.parent !== undefined) addTo(index.byParent, row.parent, key)
  }
  if (before?.state !== row?.state) {
    if (before) deleteFrom(index.byState, before.state, key)
    if (row) addTo(index.byState, row.state, key)
  }
  if (before?.open !== row?.open) {
    if (before) deleteFrom(index.byOpen, before.open, key)
    if (row) addTo(index.byOpen, row.open, key)
  }
}

/** The keys of those rows that may be meant, in the order of the list: `isMeant` looks at each. */
export const keysOf = (index: RowIndex, where: ListWhere): Iterable<string> => {
  const { parent, state, open } = where
  let shortest = index.ids
  for (const [wanted, keys] of [
    [parent, parent === undefined ? undefined : index.byParent.get(parent)],
    [state, state === undefined ? undefined : index.byState.get(state)],
    [open, open === undefined ? undefined : index.byOpen.get(open)],
  ] as const) {
    if (wanted === undefined) continue
    if (keys === undefined) return []
    const those = typeof keys === 'string' ? keyIndex([keys]) : keys
    if (those.keys.size < shortest.keys.size) shortest = those
  }
  return keysWithin(shortest, rangeOf(where))
}

export const isMeant = (row: Indexed, { parent, state, open }: ListWhere): boolean =>
  (parent === undefined || row.parent === parent) && (state === undefined || row.state === state) && (open === undefined || row.open === open)
