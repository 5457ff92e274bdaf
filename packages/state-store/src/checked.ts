import { StateStoreError } from './errors.ts'
import type { Effect, HistoryEntry, ListWhere, Row } from './index.ts'
import { plainData, plainOnce } from './plain-data.ts'

// What both drivers check about the arguments, so that they refuse the same and store the same.

const refuse = (path: string, what: string): never => {
  throw new StateStoreError('invalid-data', `${path} ${what}`, { path })
}

/** Text has an order by its UTF-8 bytes and a way into SQLite: a lone surrogate has no UTF-8, and a NUL ends a C string. */
const checkedText = (value: unknown, path: string): string => {
  if (typeof value !== 'string') return refuse(path, 'must be a string')
  if (!value.isWellFormed() || value.includes('\0')) return refuse(path, 'must be well-formed Unicode without NUL')
  return value
}

export const checkedName = (value: unknown, path: string): string => (value === '' ? refuse(path, 'must not be empty') : checkedText(value, path))

export const checkedNumber = (value: unknown, path: string): number =>
  typeof value === 'number' && Number.isFinite(value) ? value + 0 : refuse(path, 'must be a finite number')

export const checkedCount = (value: unknown, path: string): number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value + 0 : refuse(path, 'must be a whole number, zero or more')

/** A time to ask for: infinities are fine, "all" and "none". */
export const checkedTime = (value: unknown, path: string): number =>
  typeof value === 'number' && !Number.isNaN(value) ? value : refuse(path, 'must be a number')

/** Where a page starts: anything below the first entry is the first entry. */
export const checkedAfter = (value: unknown, path: string): number =>
  typeof value === 'number' && Number.isSafeInteger(value) ? value : refuse(path, 'must be a whole number')

const checkedFlag = (value: unknown, path: string): boolean => (typeof value === 'boolean' ? value : refuse(path, 'must be true or false'))

export const checkedRow = (row: Row): Row => {
  const kind = checkedName(row.kind, 'kind')
  const id = checkedName(row.id, 'id')
  const parent = row.parent === undefined ? undefined : checkedText(row.parent, 'parent')
  const state = checkedText(row.state, 'state')
  const open = checkedFlag(row.open, 'open')
  const version = checkedCount(row.version, 'version')
  const data = plainData(row.data)
  return Object.freeze(parent === undefined ? { kind, id, state, open, version, data } : { kind, id, parent, state, open, version, data })
}

export const checkedEntry = (entry: Omit<HistoryEntry, 'sequence'>): Omit<HistoryEntry, 'sequence'> => {
  const kind = checkedName(entry.kind, 'kind')
  const id = checkedName(entry.id, 'id')
  const group = entry.group === undefined ? undefined : checkedName(entry.group, 'group')
  const at = checkedNumber(entry.at, 'at')
  const data = plainOnce(entry.data)
  return group === undefined ? { kind, id, at, data } : { kind, id, group, at, data }
}

/** `bytes` are a copy: nobody else holds them. */
export const checkedEffect = (effect: Effect): Effect => {
  const { bytes } = effect
  if (bytes !== undefined && !(bytes instanceof Uint8Array)) return refuse('bytes', 'must be a Uint8Array')
  return {
    kind: checkedName(effect.kind, 'kind'),
    id: checkedName(effect.id, 'id'),
    type: checkedText(effect.type, 'type'),
    lane: checkedText(effect.lane, 'lane'),
    data: plainOnce(effect.data),
    ...(bytes === undefined ? {} : { bytes: new Uint8Array(bytes) }),
  }
}

export const checkedWhere = (where: ListWhere): ListWhere => {
  if (where.parent !== undefined) checkedText(where.parent, 'parent')
  if (where.state !== undefined) checkedText(where.state, 'state')
  if (where.open !== undefined) checkedFlag(where.open, 'open')
  if (where.prefix !== undefined) checkedText(where.prefix, 'prefix')
  if (where.descending !== undefined) checkedFlag(where.descending, 'descending')
  if (where.after !== undefined) checkedText(where.after, 'after')
  checkedCount(where.limit, 'limit')
  return where
}

/** A transaction is synchronous: one that returns a promise would write after its commit. */
export const refusePromise = (result: unknown): void => {
  if (typeof result === 'object' && result !== null && typeof (result as { then?: unknown }).then === 'function') {
    throw new StateStoreError('asynchronous', 'the work of a transaction returned a promise: nothing was written, because a transaction is synchronous')
  }
}
