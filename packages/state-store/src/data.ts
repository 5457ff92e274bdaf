import { StateStoreError } from './state-store-error.ts'

/** Throws `invalid-data` on anything that `JSON` would not keep as it is. */
export const requireData = (value: unknown, where: string, depth = 0): void => {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return
    case 'number':
      if (Number.isFinite(value)) return
      break
    case 'object':
      if (value === null) return
      if (depth > deepest) throw new StateStoreError('invalid-data', `${where}: nested deeper than ${deepest}`)
      if (Array.isArray(value)) {
        for (let index = 0; index < value.length; index++) requireData(value[index], where, depth + 1)
        return
      }
      if (isPlain(value)) {
        for (const key in value) requireData((value as Record<string, unknown>)[key], `${where}.${key}`, depth + 1)
        return
      }
      break
    default:
  }
  throw new StateStoreError('invalid-data', `${where}: expected plain JSON data, found ${describe(value)}`)
}

const deepest = 64

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

const describe = (value: unknown): string =>
  typeof value === 'object' ? (value?.constructor?.name ?? 'an object') : typeof value === 'number' ? String(value) : typeof value
