import * as z from 'zod'
import { code, table } from './markdown.ts'

/** What of JSON Schema this page knows; `bytes` and `rules` are its own. */
export interface Schema {
  readonly $ref?: string
  readonly type?: string
  readonly description?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly pattern?: string
  readonly minLength?: number
  readonly maxLength?: number
  readonly minimum?: number
  readonly exclusiveMinimum?: number
  readonly maximum?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly propertyNames?: Schema
  readonly additionalProperties?: boolean | Schema
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  /** What the schema checks beyond what JSON Schema can say. */
  readonly rules?: readonly string[]
}

interface Check {
  readonly _zod: { readonly def: { readonly check: string; readonly error?: (issue: object) => unknown } }
}

/** The messages of a schema's refinements: rules that JSON Schema has no word for. */
const rulesOf = (schema: unknown): readonly string[] => {
  const { def } = (schema as { readonly _zod: { readonly def: { readonly type: string; readonly checks?: readonly Check[] } } })._zod
  return [...(def.checks ?? []), schema as Check].flatMap(({ _zod }) => {
    if (_zod.def.check !== 'custom') return []
    try {
      const said = _zod.def.error?.({})
      return typeof said === 'string' ? [said.replace(/^expected /, '')] : []
    } catch {
      return [] // a rule that says what is wrong only of a value
    }
  })
}

/** A zod schema as JSON Schema. Schemas with a name in `named` are references where they stand in others. */
export const jsonSchema = (schema: z.ZodType, named: ReadonlyMap<z.ZodType, string> = new Map()): Schema => {
  const metadata = z.registry<{ id: string }>()
  for (const [one, id] of named) if (one !== schema) metadata.add(one, { id })
  return z.toJSONSchema(schema, {
    metadata,
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema: json }) => {
      const { type } = zodSchema._zod.def
      const rules = rulesOf(zodSchema)
      const { title: _title, examples: _examples, id: _id, ...rest } = (zodSchema as unknown as z.ZodType).meta() ?? {}
      Object.assign(json, type === 'custom' && { type: 'bytes' }, rules.length > 0 && { rules }, rest)
    },
  }) as Schema
}

const patterns: Readonly<Record<string, string>> = {
  '^[\\x21-\\x7e]+$': 'printable ASCII without blanks',
  '^[0-9a-f]{64}$': '64 lower-case hexadecimal digits',
  '^[0-9a-f]{16}$': '16 lower-case hexadecimal digits',
}

const between = (low: number | undefined, high: number | undefined, unit = ''): readonly string[] => {
  const most = high === Number.MAX_SAFE_INTEGER ? '2^53 − 1' : high
  if (low !== undefined && most !== undefined) return [`${low} to ${most}${unit}`]
  if (low !== undefined) return [`at least ${low}${unit}`]
  return most === undefined ? [] : [`at most ${most}${unit}`]
}

const bounds = (schema: Schema): readonly string[] => [
  ...between(schema.minLength, schema.maxLength, ' characters'),
  ...(schema.exclusiveMinimum === undefined ? [] : [`more than ${schema.exclusiveMinimum}`]),
  ...between(schema.minimum, schema.maximum),
  ...(schema.pattern === undefined ? [] : [patterns[schema.pattern] ?? `matches ${code(schema.pattern)}`]),
  ...(schema.rules ?? []).filter((rule) => rule !== patterns[schema.pattern ?? '']),
]

/** A type in words, with its bounds. */
export const words = (schema: Schema): string => {
  const described = (what: string, more: readonly string[] = []): string => [what, ...more, ...bounds(schema)].join(', ')
  const reference = schema.$ref?.replace('#/$defs/', '')
  if (reference !== undefined) return `[${reference}](#${reference.replaceAll(' ', '-')})`
  const variants = schema.anyOf ?? (schema.type === undefined ? schema.oneOf : undefined)
  if (variants !== undefined) return described([...new Set(variants.map(words))].join(' or '))
  if ('const' in schema) return code(JSON.stringify(schema.const))
  if (schema.enum !== undefined) return schema.enum.map((value) => code(JSON.stringify(value))).join(', ')
  if (schema.type === 'array') return described(`list of (${words(schema.items ?? {})})`, between(schema.minItems, schema.maxItems, ' of them'))
  if (schema.type === 'object' && schema.properties === undefined) {
    const values = typeof schema.additionalProperties === 'object' ? words(schema.additionalProperties) : 'anything'
    return described(`map of (${words(schema.propertyNames ?? { type: 'string' })}) to (${values})`)
  }
  if (schema.type === 'object')
    return described(
      `map of ${Object.keys(schema.properties ?? {})
        .map(code)
        .join(', ')}`,
    )
  return described(schema.type === 'string' ? 'text' : schema.type === 'integer' ? 'whole number' : (schema.type ?? 'anything'))
}

/** Says what a field means where its schema does not; the path of a field within maps is `outer.inner`, in lists `list[].inner`. */
export type Meaning = (path: string) => string | undefined

const rows = (schema: Schema, meaning: Meaning, prefix = ''): readonly (readonly string[])[] =>
  Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const path = `${prefix}${name}`
    const needed = schema.required?.includes(name) ? 'yes' : 'no'
    const row = [code(path), field.properties ? 'map' : words(field), needed, field.description ?? meaning(path) ?? '']
    const inner = field.type === 'array' && field.items?.properties ? rows(field.items, meaning, `${path}[].`) : rows(field, meaning, `${path}.`)
    return [row, ...(field.$ref === undefined ? inner : [])]
  })

/** The fields of a map, those of maps within it under their paths; `[]` is each of a list. Of a choice between maps, one table each. */
export const fields = (schema: Schema, meaning: Meaning = () => undefined): string => {
  const variants = schema.anyOf ?? (schema.properties === undefined ? schema.oneOf : undefined)
  if (variants !== undefined) return variants.map((variant) => fields(variant, meaning)).join('\n\n')
  if (schema.properties === undefined) return words(schema)
  return table(['field', 'type and bounds', 'needed', 'meaning'], rows(schema, meaning))
}
