import type { Row } from './index.ts'

interface Cached {
  readonly row: Row
  readonly size: number
}

/** The rows that were used last, as the file has them. */
export interface RowCache {
  get(kind: string, id: string): Row | undefined
  /** `size`: the length of its data as text. */
  set(row: Row, size: number): void
  delete(kind: string, id: string): void
}

/** What a row costs besides its data. */
const overhead = 200

/** Two generations: what was not used while the young one filled up is forgotten with the old one. Holds rows of at most `size` altogether. */
export const rowCache = (size: number): RowCache => {
  let young = new Map<string, Map<string, Cached>>()
  let old = young
  let filled = 0

  const keep = (cached: Cached): void => {
    if (cached.size + overhead > size / 2) return
    if (filled + cached.size + overhead > size / 2) {
      old = young
      young = new Map()
      filled = 0
    }
    filled += cached.size + overhead
    const { kind, id } = cached.row
    const rows = young.get(kind)
    if (rows) rows.set(id, cached)
    else young.set(kind, new Map([[id, cached]]))
  }

  return {
    get(kind, id) {
      const recent = young.get(kind)?.get(id)
      if (recent) return recent.row
      const cached = old.get(kind)?.get(id)
      if (cached) keep(cached)
      return cached?.row
    },
    set(row, length) {
      // Too large a row is not kept, and what was there is out of date.
      old.get(row.kind)?.delete(row.id)
      const before = young.get(row.kind)?.get(row.id)
      if (before) {
        young.get(row.kind)?.delete(row.id)
        filled -= before.size + overhead
      }
      keep({ row, size: length })
    },
    delete(kind, id) {
      old.get(kind)?.delete(id)
      const before = young.get(kind)?.get(id)
      if (!before) return
      young.get(kind)?.delete(id)
      filled -= before.size + overhead
    },
  }
}
