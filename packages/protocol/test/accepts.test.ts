import fc from 'fast-check'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { acceptsOf } from '../src/accepts.ts'
import { bodies } from '../src/index.ts'
import { arbitraryDraft } from './arbitraries.ts'
import { messageTypes } from './samples.ts'

const anything = fc.anything({
  withNullPrototype: true,
  withSparseArray: true,
  maxDepth: 2,
  key: fc.oneof(fc.string(), fc.constantFrom('__proto__', 'type', 'constructor')),
})

/** Every place in a value. */
const places = (value: unknown, path: readonly (string | number)[] = []): (readonly (string | number)[])[] => [
  path,
  ...(typeof value === 'object' && value !== null && !(value instanceof Uint8Array)
    ? Object.entries(value).flatMap(([key, inner]) => places(inner, [...path, Array.isArray(value) ? Number(key) : key]))
    : []),
]

/** A copy in which one place holds something else, has a field more, or is not there. */
const changed = (value: unknown, [first, ...rest]: readonly (string | number)[], how: 'other' | 'more' | 'less', other: unknown): unknown => {
  if (first === undefined) return how === 'more' && typeof value === 'object' && value !== null ? { ...value, more: other } : other
  if (Array.isArray(value)) return value.map((inner, index) => (index === first ? changed(inner, rest, how, other) : inner))
  const { [first]: inner, ...others } = value as Readonly<Record<string, unknown>>
  return rest.length === 0 && how === 'less' ? others : { ...others, [first]: changed(inner, rest, how, other) }
}

/** What is taken as it is, its schema takes and gives back as it is. */
const agrees = (schema: z.ZodType, value: unknown): void => {
  if (!acceptsOf(schema)(value)) return
  const parsed = schema.safeParse(value)
  expect(parsed.success).toBe(true)
  expect(parsed.data).toEqual(value)
}

test.each(messageTypes)('%s: nothing is taken that its schema refuses or changes', (type) => {
  const schema = bodies[type]
  fc.assert(
    fc.property(arbitraryDraft(type), fc.nat(), fc.constantFrom('other', 'more', 'less'), anything, ({ body }, at, how, other) => {
      agrees(schema, body)
      const all = places(body)
      agrees(schema, changed(body, all[at % all.length] ?? [], how, other))
    }),
    { numRuns: 300 },
  )
})

test('what schemas can say besides is refused or taken as they do', () => {
  const schemas: readonly z.ZodType[] = [
    z.object({ a: z.string() }),
    z.strictObject({ a: z.string().exactOptional(), b: z.int().min(1).max(3).optional() }),
    z.looseObject({ a: z.string().min(1) }),
    z.strictObject({ a: z.string().trim() }),
    z.strictObject({ a: z.string().default('x') }),
    z.strictObject({ a: z.coerce.number() }),
    z.strictObject({ a: z.string().transform((text) => text.length) }),
    z.record(z.string().max(3), z.number().positive()),
    z.union([z.object({ a: z.string() }), z.strictObject({ a: z.string(), b: z.number() })]),
    z.strictObject({
      a: z
        .array(z.enum(['a', 'b']).nullable())
        .min(1)
        .max(2),
    }),
    z.strictObject({ a: z.string().refine((text) => text !== 'no') }),
    z.strictObject({ a: z.string() }).check((payload) => {
      if (payload.value.a === 'no') payload.issues.push({ code: 'custom', message: 'no', input: payload.value })
    }),
    z.strictObject({ a: z.string().regex(/^a+$/) }),
    z.strictObject({ a: z.email() }),
    z.strictObject({ a: z.lazy(() => z.string()) }),
  ]
  const field = fc.oneof(
    fc.constantFrom('', 'a', 'aa', 'aaaa', 'no', ' a ', 0, 1, 2.5, -0, 4, null, undefined, true),
    anything,
    fc.array(fc.constantFrom('a', 'b', 'c', null)),
  )
  const value = fc.oneof(
    anything,
    fc.record({ a: field, b: field }, { requiredKeys: [] }),
    fc.record({ a: field }),
    fc.record({ a: field, b: field, c: field }),
  )
  agrees(schemas[8] as z.ZodType, { a: 'a', b: 1 })
  fc.assert(
    fc.property(fc.constantFrom(...schemas), value, (schema, given) => agrees(schema, given)),
    { numRuns: 3000 },
  )
})

test('the messages of an execution of the noop engine are taken without their schema: that is what it is for', () => {
  for (const type of messageTypes) {
    const taken = fc.sample(arbitraryDraft(type), { numRuns: 200, seed: 1 }).filter(({ body }) => acceptsOf(bodies[type])(body)).length
    expect([type, taken > 20]).toEqual([type, true])
  }
})
