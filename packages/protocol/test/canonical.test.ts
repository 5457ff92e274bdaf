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

/** Whether the bytes are what the general encoder makes of what was read. */
const isCanonical = (bytes: Uint8Array): { readonly seen: boolean; readonly is: boolean } | undefined => {
  let read: unknown
  try {
    read = decodeBounded(bytes)
  } catch {
    return undefined
  }
  let seen = true
  try {
    requireCanonical(read, bytes)
  } catch {
    seen = false
  }
  let is = false
  try {
    is = Buffer.from(encode(read)).equals(bytes)
  } catch {
    // It has no canonical form.
  }
  return { seen, is }
}

test('what is seen to be canonical while it is read is what the encoder makes of it, and nothing else', () => {
  let read = 0
  const agree = (bytes: Uint8Array): void => {
    const answer = isCanonical(bytes)
    if (answer === undefined) return
    read++
    expect(answer.seen).toBe(answer.is)
  }
  const plain = value.map((given) => encodePlain(given) ?? new Uint8Array())
  fc.assert(
    fc.property(plain, fc.nat(), fc.nat(255), fc.boolean(), (bytes, at, byte, inserts) => {
      agree(bytes)
      const place = bytes.length === 0 ? 0 : at % bytes.length
      agree(Uint8Array.from([...bytes.subarray(0, place), byte, ...bytes.subarray(inserts ? place : place + 1)]))
    }),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 12 }), (bytes) => agree(bytes)),
    { numRuns: 5000 },
  )
  const hand = [
    // 1 in two, three and five bytes; 24 and 2^32 as they should be; a whole number as a float, and halves.
    '1801',
    '190001',
    '1a00000001',
    '1818',
    '1b0000000100000000',
    'fb3ff0000000000000',
    'fb3fe0000000000000',
    'fb8000000000000000',
    'fb7ff8000000000000',
    '20',
    '3b001fffffffffffff',
    // Keys in order, out of order, twice, by length, and unusual ones; a length too long; a text that is no UTF-8, one of other characters, one with a byte order mark.
    'a2616101616202',
    'a2616201616102',
    'a2616101616102',
    'a262616101616202',
    'a2616201626161 02'.replace(' ', ''),
    'a1612f01',
    'a1656173434944f6',
    'b801616101',
    '7801'.concat('61'),
    '61ff',
    '62c3a9',
    '64efbbbf61',
    '63f09f98',
    '41ff',
    '5801ff',
    `7841${'61'.repeat(65)}`,
    `7841${'61'.repeat(64)}ff`,
    `7842${'61'.repeat(64)}c3a9`,
    `784b${'61'.repeat(72)}f09f98`,
  ]
  for (const bytes of hand) agree(Uint8Array.from(Buffer.from(bytes, 'hex')))
  expect(read).toBeGreaterThan(1000)
})
