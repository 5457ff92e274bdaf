import type * as z from 'zod'

/**
 * Says of a value that its schema takes it exactly as it is; `false` decides nothing: then the schema itself is asked, and says what is wrong. Messages are checked by
 * their sender and by their receiver, and nearly all are right: this costs a tenth of what the schema does. That it never takes what the schema would not, or would change, is
 * held by property tests.
 */
export type Accepts = (value: unknown) => boolean

/** The parts of a schema's definition that are looked at. */
interface Definition {
  readonly type: string
  readonly format?: string
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>
  readonly catchall?: z.core.$ZodType
  readonly element?: z.core.$ZodType
  readonly innerType?: z.core.$ZodType
  readonly keyType?: z.core.$ZodType
  readonly valueType?: z.core.$ZodType
  readonly options?: readonly z.core.$ZodType[]
  readonly values?: readonly unknown[]
  readonly entries?: Readonly<Record<string, unknown>>
  readonly fn?: (value: unknown) => unknown
  readonly checks?: readonly z.core.$ZodCheck[]
}

const definitionOf = (schema: z.core.$ZodType): Definition => schema._zod.def as unknown as Definition

/** Of these it is known that they look at the value and leave it alone. */
const pureChecks: ReadonlySet<string> = new Set(['min_length', 'max_length', 'greater_than', 'less_than', 'custom'])

interface Check {
  readonly check: string
  readonly minimum?: number
  readonly maximum?: number
  readonly value?: number
  readonly inclusive?: boolean
  readonly format?: string
  readonly pattern?: RegExp
  readonly when?: (payload: z.core.ParsePayload) => boolean
}

const checkOf = (check: z.core.$ZodCheck): Accepts | undefined => {
  const { check: kind, minimum = 0, maximum = Infinity, value: bound = 0, inclusive = false, format, pattern, when } = check._zod.def as unknown as Check
  if (kind === 'string_format' && format === 'regex' && pattern && !pattern.global && !pattern.sticky) return (value) => pattern.test(value as string)
  if (!pureChecks.has(kind)) return undefined
  switch (kind) {
    case 'min_length':
      return (value) => (value as string).length >= minimum
    case 'max_length':
      return (value) => (value as string).length <= maximum
    case 'greater_than':
      return (value) => (inclusive ? (value as number) >= bound : (value as number) > bound)
    case 'less_than':
      return (value) => (inclusive ? (value as number) <= bound : (value as number) < bound)
    default:
      return (value) => {
        const payload: z.core.ParsePayload = { value, issues: [] }
        if (when?.(payload) === false) return true
        return !(check._zod.check(payload as never) instanceof Promise) && payload.issues.length === 0 && payload.value === value
      }
  }
}

const all = (tests: readonly (Accepts | undefined)[]): Accepts | undefined => {
  if (tests.some((test) => test === undefined)) return undefined
  const those = tests as readonly Accepts[]
  const [first, second] = those
  if (first === undefined) return () => true
  if (second === undefined) return first
  return (value) => {
    for (const test of those) if (!test(value)) return false
    return true
  }
}

const isPlainMap = (value: unknown): value is Readonly<Record<string, unknown>> => {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Exactly these fields, and others only where the schema takes any. */
const objectOf = ({ shape = {}, catchall }: Definition): Accepts | undefined => {
  const rest = catchall && definitionOf(catchall).type
  if ((rest !== 'never' && rest !== 'unknown') || Object.hasOwn(shape, '__proto__')) return undefined
  const fields = Object.entries(shape).map(([name, schema]) => {
    const { type, innerType } = definitionOf(schema)
    // Where an optional field cannot be looked at, only its absence is taken.
    return type === 'optional' && innerType ? { name, isOptional: true, test: compile(innerType) } : { name, isOptional: false, test: compile(schema) }
  })
  if (fields.some(({ isOptional, test }) => !isOptional && test === undefined)) return undefined
  return (value) => {
    if (!isPlainMap(value)) return false
    let known = 0
    for (const { name, isOptional, test } of fields) {
      if (!Object.hasOwn(value, name)) {
        if (isOptional) continue
        return false
      }
      const field = value[name]
      if (field === undefined || test === undefined || !test(field)) return false
      known++
    }
    return rest === 'unknown' ? !Object.hasOwn(value, '__proto__') : Object.keys(value).length === known
  }
}

const recordOf = ({ keyType, valueType }: Definition): Accepts | undefined => {
  const key = keyType && definitionOf(keyType).type === 'string' ? compile(keyType) : undefined
  const item = valueType && compile(valueType)
  if (key === undefined || item === undefined) return undefined
  return (value) => {
    if (!isPlainMap(value)) return false
    for (const name of Object.keys(value)) if (name === '__proto__' || !key(name) || !item(value[name])) return false
    return true
  }
}

const arrayOf = ({ element }: Definition): Accepts | undefined => {
  const item = element && compile(element)
  return (
    item &&
    ((value) => {
      if (!Array.isArray(value)) return false
      for (let index = 0; index < value.length; index++) if (!item(value[index])) return false
      return true
    })
  )
}

/** The first that fits is taken: one that cannot be looked at might, and change the value, so that none after it counts. */
const unionOf = ({ options = [] }: Definition): Accepts | undefined => {
  const compiledOptions = options.map(compile)
  const unknown = compiledOptions.indexOf(undefined)
  const tests = compiledOptions.slice(0, unknown === -1 ? undefined : unknown).filter((test) => test !== undefined)
  return tests.length === 0 ? undefined : (value) => tests.some((test) => test(value))
}

const kindOf = (definition: Definition): Accepts | undefined => {
  const { type, format, innerType, values = [], entries = {}, fn } = definition
  switch (type) {
    case 'string':
      return format === undefined ? (value) => typeof value === 'string' : undefined
    case 'number':
      if (format !== undefined && format !== 'safeint') return undefined
      return format === undefined ? (value) => Number.isFinite(value) : (value) => Number.isSafeInteger(value)
    case 'boolean':
      return (value) => typeof value === 'boolean'
    case 'literal':
      return (value) => values.includes(value)
    case 'enum': {
      const names = new Set(Object.values(entries))
      return (value) => names.has(value)
    }
    case 'nullable': {
      const inner = innerType && compile(innerType)
      return inner && ((value) => value === null || inner(value))
    }
    case 'object':
      return objectOf(definition)
    case 'record':
      return recordOf(definition)
    case 'array':
      return arrayOf(definition)
    case 'union':
      return unionOf(definition)
    case 'custom':
      return fn && ((value) => fn(value) === true)
    default:
      return undefined
  }
}

const compiled = new WeakMap<z.core.$ZodType, { readonly accepts: Accepts | undefined }>()

/** Undefined for a schema that does anything unusual. */
const compile = (schema: z.core.$ZodType): Accepts | undefined => {
  const known = compiled.get(schema)
  if (known) return known.accepts
  const definition = definitionOf(schema)
  const accepts = all([kindOf(definition), ...(definition.checks ?? []).map(checkOf)])
  compiled.set(schema, { accepts })
  return accepts
}

/** Of a schema, compiled when it is first asked for. */
export const acceptsOf = (schema: z.core.$ZodType): Accepts => compile(schema) ?? (() => false)
