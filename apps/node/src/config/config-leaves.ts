import * as z from 'zod'
import { configSchema } from './config-schema.ts'

/** One thing that a configuration says: its path, and how it is written where there is only text. */
export interface ConfigLeaf {
  /** As in the file: `['api', 'port']`. */
  readonly path: readonly string[]
  readonly kind: 'list' | 'map' | 'scalar'
  readonly schema: z.ZodType
  /** The environment variable that says the same, such as `SKREI_API_PORT`. */
  readonly variable: string
}

const unwrapped = (schema: z.ZodType): z.ZodType => (schema instanceof z.ZodOptional ? unwrapped(schema.unwrap() as z.ZodType) : schema)

const variableOf = (path: readonly string[]): string =>
  `SKREI_${path.map((part) => part.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()).join('_')}`

const leavesOf = function* (schema: z.ZodType, path: readonly string[]): Generator<ConfigLeaf> {
  const inner = unwrapped(schema)
  if (inner instanceof z.ZodObject) {
    for (const [name, field] of Object.entries(inner.shape)) yield* leavesOf(field as z.ZodType, [...path, name])
    return
  }
  const kind = inner instanceof z.ZodArray ? 'list' : inner instanceof z.ZodRecord ? 'map' : 'scalar'
  yield { path, kind, schema: inner, variable: variableOf(path) }
}

/** Everything that can be set, in the order of the schema: where the variables of the environment come from. */
export const configLeaves: readonly ConfigLeaf[] = [...leavesOf(configSchema, [])]

/** The value that a text stands for: text where the schema takes that, else the number, or the true or false, that it is. What is of no kind that is wanted stays text, and is refused as such. */
export const scalarOf = (schema: z.ZodType, text: string): unknown => {
  if (schema.safeParse(text).success) return text
  const other = text === 'true' ? true : text === 'false' ? false : /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text
  const { success, error } = schema.safeParse(other)
  const ofNoKind = !success && error.issues.some(({ code, path }) => path.length === 0 && (code === 'invalid_type' || code === 'invalid_union'))
  return ofNoKind ? text : other
}
