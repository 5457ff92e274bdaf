import { encode } from '@ipld/dag-cbor'
import { encodePlain } from '@skrei/job-spec'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeBounded, encodeCanonical, requireCanonical } from '../src/canonical.ts'

const text = fc.oneof(
  fc.string({ unit: 'binary-ascii', maxLength: 300 }),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('__proto__', '/', 'asCID', '', '\ufeffx', '\ud800'),
)
const number = fc.oneof(
  fc.maxSafeInteger(),
  fc.integer({ min: -70_000, max: 70_000 }),
  fc.integer(),
  fc.double(),
  fc.constantFrom(0, -0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53, 1e300),
)
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    text,
    number,
    fc.boolean(),
    fc.constant(null),
    fc.constant(undefined),
    fc.bigInt(),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('value'), { maxLength: 30 }),
    fc.dictionary(text, tie('value'), { maxKeys: 30 }),
  ),
}))

test('the fast writer gives the bytes of the general encoder, or none', () => {
  let written = 0
  fc.assert(
    fc.property(value, (given) => {
      const fast = encodePlain(given)
      if (fast === undefined) return
      written++
      expect(Buffer.from(fast).equals(encode(given))).toBe(true)
      expect(fast.buffer.byteLength).toBe(fast.length)
    }),
    { numRuns: 3000 },
  )
  expect(written).toBeGreaterThan(500)
})

test('what is too large, too deep or encodes while it is encoded is left to the general encoder', () => {
  for (const large of ['x'.repeat(70_000), 'é'.repeat(40_000), Array(70_000).fill(0), new Uint8Array(70_000), 'y'.repeat(65_536)])
    expect(Buffer.from(encodeCanonical(large)).equals(encode(large))).toBe(true)
  const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)])
  expect(encodePlain(deep(100))).toBeUndefined()
  expect(Buffer.from(encodeCanonical(deep(100))).equals(encode(deep(100)))).toBe(true)
  const circle: unknown[] = []
  circle.push(circle)
  expect(() => encodeCanonical(circle)).toThrow(expect.objectContaining({ code: 'malformed-message' }))
  const reentrant = {
    a: 'x',
    get b() {
      return encodeCanonical('inner')
    },
  }
  expect(Buffer.from(encodeCanonical(reentrant)).equals(encode({ ...reentrant }))).toBe(true)
  const throwing = {
    get a() {
      throw new Error('broken')
    },
  }
  expect(() => encodeCanonical(throwing)).toThrow(expect.objectContaining({ code: 'malformed-message' }))
  expect(encodePlain('again')).toEqual(encode('again'))
})

test('bytes are canonical exactly where the general encoder gives them back', () => {
  const read = (bytes: Uint8Array, same: (value: unknown) => boolean): boolean | undefined => {
    let decoded: unknown
    try {
      decoded = decodeBounded(bytes)
    } catch {
      return undefined
    }
    return same(decoded)
  }
  const byGeneral = (bytes: Uint8Array) => read(bytes, (decoded) => Buffer.compare(encode(decoded), bytes) === 0)
  const byOurs = (bytes: Uint8Array) =>
    read(bytes, (decoded) => {
      try {
        requireCanonical(decoded, bytes)
        return true
      } catch {
        return false
      }
    })
  const counts = { true: 0, false: 0, undefined: 0 }
  fc.assert(
    fc.property(value, fc.nat(), fc.nat(2), fc.uint8Array({ maxLength: 3 }), (given, place, removed, inserted) => {
      let original: Uint8Array
      try {
        original = encode(given)
      } catch {
        return
      }
      const from = place % original.length
      for (const bytes of [original, new Uint8Array([...original.subarray(0, from), ...inserted, ...original.subarray(from + removed)])]) {
        let expected: boolean | undefined
        try {
          expected = byGeneral(bytes)
        } catch {
          // Not even a value of DAG-CBOR: a NaN, an infinity.
          expected = false
        }
        counts[String(expected) as keyof typeof counts]++
        expect(byOurs(bytes)).toBe(expected)
      }
    }),
    { numRuns: 2000 },
  )
  for (const count of Object.values(counts)) expect(count).toBeGreaterThan(10)
  // Each way to say 1 otherwise, and a map in another order or with a key twice.
  for (const hex of [
    '1801',
    '190001',
    '1a00000001',
    '1b0000000000000001',
    'fb3ff0000000000000',
    'f93c00',
    'a2616201616101',
    'a2616101616101',
    'fb8000000000000000',
    '61ff',
  ])
    expect(byOurs(Buffer.from(hex, 'hex'))).not.toBe(true)
})
