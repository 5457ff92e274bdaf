import type { ListWhere } from './index.ts'
import { compareKeys, orderKey } from './order-key.ts'

const lastCodePoint = 0x10ffff

/** The first text, in byte order, that comes after all that begin with `prefix`; undefined where none does. */
export const prefixEnd = (prefix: string): string | undefined => {
  const points = Array.from(prefix, (character) => character.codePointAt(0) as number)
  while (points.at(-1) === lastCodePoint) points.pop()
  const last = points.pop()
  if (last === undefined) return undefined
  // Surrogates are no characters.
  return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1)
}

/** Between which order keys a list lies, and from which end it goes. */
export interface KeyRange {
  readonly descending: boolean
  /** Lies in the range. */
  readonly from?: string
  /** The last before the range. */
  readonly after?: string
  /** The first behind the range. */
  readonly before?: string
}

const higher = (one: string | undefined, other: string | undefined): string | undefined =>
  one === undefined || (other !== undefined && compareKeys(other, one) > 0) ? other : one
const lower = (one: string | undefined, other: string | undefined): string | undefined =>
  one === undefined || (other !== undefined && compareKeys(other, one) < 0) ? other : one

export const rangeOf = ({ after, prefix = '', descending = false }: Pick<ListWhere, 'after' | 'prefix' | 'descending'>): KeyRange => {
  const start = prefix === '' ? undefined : orderKey(prefix)
  const last = prefixEnd(prefix)
  const end = last === undefined ? undefined : orderKey(last)
  const passed = after === undefined ? undefined : orderKey(after)
  const before = descending ? lower(end, passed) : end
  const range = { descending, ...(before !== undefined && { before }) }
  if (descending || passed === undefined) return { ...range, ...(start !== undefined && { from: start }) }
  return higher(start, passed) === passed ? { ...range, after: passed } : { ...range, ...(start !== undefined && { from: start }) }
}

export const isWithin = (key: string, { from, after, before }: KeyRange): boolean =>
  (from === undefined || compareKeys(key, from) >= 0) &&
  (after === undefined || compareKeys(key, after) > 0) &&
  (before === undefined || compareKeys(key, before) < 0)
