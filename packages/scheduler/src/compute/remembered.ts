import type { Reader } from '@skrei/state-store'
import { forgetOldest } from '../forget-oldest.ts'
import { allRows } from '../kernel/all-rows.ts'
import { type Ended, endedOf } from '../kernel/ended.ts'

/** Which asks that came to nothing are remembered. */
export interface Remembered {
  /** One more of this requester ended, as a row that is written. Returns those that are forgotten for it, the first that ended. */
  ended(reader: Reader, requester: string, row: string): readonly Ended[]
  /** Something of what was told did not happen: the rows are read again. */
  undone(): void
}

/** Of so many requesters the rows are in memory; of others they are read when one more ends. */
const requesters = 512
const rowsPerPage = 500

/**
 * Of each requester so many asks that came to nothing: whoever asks for nothing takes a bounded part of the store. A copy in memory of which rows there are, in order; some may have
 * been removed since, being old.
 */
export const createRemembered = (most: number): Remembered => {
  const rowsOf = new Map<string, string[]>()

  const read = (reader: Reader, requester: string): string[] =>
    [...allRows(reader, 'ended', { parent: requester, state: 'compute' }, rowsPerPage)].map(({ id }) => id)

  return {
    ended: (reader, requester, row) => {
      const known = rowsOf.get(requester)
      // Read after it was written.
      const rows = known ?? read(reader, requester)
      known?.push(row)
      rowsOf.delete(requester)
      rowsOf.set(requester, rows)
      forgetOldest(rowsOf, requesters)
      return rows.splice(0, Math.max(0, rows.length - most)).map((id) => endedOf('compute', id))
    },
    undone: () => rowsOf.clear(),
  }
}
