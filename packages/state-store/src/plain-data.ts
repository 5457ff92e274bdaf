import type { Data } from './data.ts'
import { StateStoreError } from './errors.ts'

/** Deeper than any state of ours and far from the end of the stack, so that a circle is found and not followed. */
const MAX_DEPTH = 200

/** Where the walk stands; kept outside of it because joining a path for every key would cost more than the copy. */
const trail: (string | number)[] = []

const invalid = (what: string): never => {
  const path = trail.reduce<string>((text, key) => (typeof key === 'number' ? `${text}[${key}]` : `${text}.${key}`), 'data')
  throw new StateStoreError('invalid-data', `${path} ${what}`, { path })
}

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return true
  // The `Object.prototype` of another realm (a test runner's sandbox, a vm context).
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, 'isPrototypeOf')
}

/** A constructor that gives back what it was given: a class over it puts its private fields on any object. */
class Given {
  constructor(value: object) {
    // biome-ignore lint/correctness/noConstructorReturn: this is what it is for.
    return value
  }
}

/**
 * Marks what was copied before: it is frozen through and through and need not be copied again. A row that is written anew shares most of its data with the last one.
 * Nobody else can see a private field, put it on, or copy it, and it costs a seventh of what a `WeakSet` does.
 */
class Kept extends Given {
  readonly #kept = true
  static mark(value: object): void {
    new Kept(value)
  }
  static has(value: object): boolean {
    return #kept in value
  }
}

/** Whether copies are marked: what is never written anew need not bear a mark, which takes as much memory as two fields. */
let marking = true

const kept = <T extends object>(copy: T): T => {
  if (marking) Kept.mark(copy)
  return Object.freeze(copy)
}

const copyOf = (value: unknown): Data => {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      return Number.isFinite(value) ? value + 0 : invalid(`is ${value}: only finite numbers can be stored`)
    case 'object':
      break
    default:
      return invalid(`is ${typeof value === 'undefined' ? 'undefined' : `a ${typeof value}`}, which JSON does not keep`)
  }
  if (value === null) return null
  if (Kept.has(value)) return value as Data
  if (trail.length >= MAX_DEPTH) return invalid(`is nested deeper than ${MAX_DEPTH} levels, or in a circle`)
  if (Array.isArray(value)) {
    const copy: Data[] = []
    for (let index = 0; index < value.length; index += 1) {
      trail.push(index)
      copy.push(copyOf(value[index]))
      trail.pop()
    }
    return kept(copy)
  }
  if (!isPlain(value)) return invalid(`is a ${value.constructor?.name ?? 'class instance'}, not plain data`)
  // A spread is many times as fast as a copy key by key, and in what is written anew most values can stand as they are.
  const copy = { ...value } as Record<PropertyKey, unknown>
  // It takes symbols along, which JSON does not.
  for (const symbol of Object.getOwnPropertySymbols(copy)) delete copy[symbol]
  for (const key in copy) {
    const given = copy[key]
    if (typeof given === 'string' || typeof given === 'boolean' || given === null) continue
    // Of what somebody put on `Object.prototype`, nothing is this object's.
    if (!Object.hasOwn(copy, key)) continue
    trail.push(key)
    const item = copyOf(given)
    trail.pop()
    if (Object.is(item, given)) continue
    if (key === '__proto__') Object.defineProperty(copy, key, { value: item, enumerable: true, configurable: true, writable: true })
    else copy[key] = item
  }
  return kept(copy) as Data
}

/**
 * A frozen deep copy of what `JSON` keeps exactly; anything else is refused as `invalid-data`: undefined, functions, symbols, bigints, NaN and infinities, holes,
 * class instances (dates and maps too), circles. `-0` becomes `0`, as in JSON.
 */
export const plainData = (value: unknown): Data => {
  trail.length = 0
  marking = true
  return copyOf(value)
}

/**
 * Data that is made once and written again and again: a store takes it as it is, and holds it once.
 *
 * @throws StateStoreError `invalid-data`
 */
export const sharedData = (value: unknown): Data => plainData(value)

/** The same, for what is written once. */
export const plainOnce = (value: unknown): Data => {
  trail.length = 0
  marking = false
  try {
    return copyOf(value)
  } finally {
    marking = true
  }
}

const freezeAll = (value: unknown): void => {
  if (typeof value !== 'object' || value === null) return
  // By key: what `JSON.parse` made has no others, and nothing is inherited that `Object.values` would leave out.
  for (const item of Object.values(value)) freezeAll(item)
  kept(value)
}

/** What was stored as JSON, frozen through and through. Throws what `JSON.parse` throws. */
export const parsedData = (text: string): Data => {
  const value = JSON.parse(text) as Data
  freezeAll(value)
  return value
}
