import type { Reader, Row } from '@skrei/state-store'

// What is over is remembered for a while, and then forgotten. A final object has no deadline (invariant 7): that it ended, and when, is a row of its own, and the
// ids of these rows sort by that time, so that the oldest are found without looking at the rest.

const hour = 3_600_000

/** No message is sent later than this after it was written, whatever its sender would like: what its receiver must remember is bounded by it. */
export const longestResend = 12 * hour

/**
 * The least time that an object is remembered after its end. Every message about it was written while it was open, or within a lease and a publish duration of its end
 * (minutes), and is not sent later than `longestResend` after that. Twice that leaves room for these, for clocks that differ by a tenth or jump by an hour or two, and for the way.
 */
export const shortestKeep = 2 * longestResend

export interface Ended {
  /** Of the row that says so. */
  readonly row: string
  readonly kind: string
  readonly id: string
}

const digits = 16
const sortable = (at: number): string => String(Math.max(0, Math.floor(at))).padStart(digits, '0')

/** `parent`: of objects that are counted together, whose they are. */
export const endedRow = (kind: string, id: string, at: number, parent?: string): Row => ({
  kind: 'ended',
  id: `${sortable(at)} ${kind} ${id}`,
  ...(parent !== undefined && { parent }),
  state: kind,
  open: false,
  version: 1,
  data: null,
})

/** Objects of a kind that ended before a time, the first to end first. */
export const endedBefore = (reader: Reader, kind: string, before: number, limit: number): readonly Ended[] => {
  const bound = sortable(before)
  return reader
    .list('ended', { state: kind, limit })
    .filter(({ id }) => id.slice(0, digits) < bound)
    .map(({ id }) => endedOf(kind, id))
}

/** What a row says. */
export const endedOf = (kind: string, row: string): Ended => ({ row, kind, id: row.slice(digits + kind.length + 2) })
