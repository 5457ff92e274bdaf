import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { encode } from '@ipld/dag-cbor'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { encodePlain } from '../src/canonical-plain.ts'
import { canonicalBytes, cidOf, decodeCanonical, type JobSpec, printJob, readJob, resolve, specCid, taskOf, taskSchema } from '../src/index.ts'
import { arbitraryJob } from './arbitrary-job.ts'

const read = (text: string): JobSpec => {
  const result = readJob(text, { file: 'job.yaml' })
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.spec
}

interface Golden {
  readonly name: string
  readonly job: string
  readonly bytes: string
  readonly cid: string
}
const golden = JSON.parse(readFileSync(new URL('golden.json', import.meta.url), 'utf8')) as readonly Golden[]

// These never change: a job submitted with one release is the same job in the next.
test.each(golden)('the CID of $name is what it was', ({ job, bytes, cid }) => {
  const spec = read(job)
  expect(Buffer.from(canonicalBytes(spec)).toString('hex')).toBe(bytes)
  expect(specCid(spec)).toBe(cid)
})

/** The same value with its keys in another order. */
const shuffled = (value: unknown, order: () => number): unknown => {
  if (Array.isArray(value)) return value.map((item) => shuffled(item, order))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, item]) => ({ key, item: shuffled(item, order), rank: order() }))
      .toSorted((left, right) => left.rank - right.rank)
      .map(({ key, item }) => [key, item]),
  )
}

test('key order, format and quoting do not change a CID', () => {
  fc.assert(
    fc.property(arbitraryJob, fc.infiniteStream(fc.nat()), fc.constantFrom('QUOTE_DOUBLE', 'QUOTE_SINGLE', 'PLAIN', 'BLOCK_LITERAL'), (spec, ranks, style) => {
      const file: unknown = shuffled(JSON.parse(printJob(spec, 'json')), () => ranks.next().value)
      expect(specCid(read(JSON.stringify(file)))).toBe(specCid(spec))
      const text = stringify(file, { defaultStringType: style, defaultKeyType: 'PLAIN', aliasDuplicateObjects: false })
      // Merge keys are refused unless quoted (see printJob), and not every text survives every style of the library itself.
      if (!JSON.stringify(file).includes('"<<"') && isDeepStrictEqual(parse(text), file)) expect(specCid(read(text))).toBe(specCid(spec))
    }),
    { numRuns: 80 },
  )
})

const job = (fields: string): string => specCid(read(`apiVersion: skrei/v1\nengine: { type: noop }\n${fields}`))

test.each([
  [
    'resources: { memory: 1Gi }',
    'resources: { memory: 1024Mi }',
    'resources: { memory: 1073741824 }',
    'resources: { memory: "1073741824" }',
    'resources: { memory: 1048576Ki }',
  ],
  ['resources: { cpu: 500m }', 'resources: { cpu: 0.5 }', 'resources: { cpu: "0.500" }', 'resources: { cpu: 5e-1 }'],
  ['resources: { gpu: 1 }', 'resources: { gpu: { count: 1 } }'],
  ['resources: { gpu: { count: 1, memory: 1Gi } }', 'resources: { gpu: { memory: 1024Mi, count: 1 } }'],
  ['publisher: { type: ipfs }', 'publisher: [{ type: ipfs }]'],
  ['timeouts: { total: 1h30m }', 'timeouts: { total: 90m }', 'timeouts: { total: 5400s }'],
  ['env: { A: x, B: y }', 'env:\n  "B": |-\n    y\n  A: \'x\'', 'env: { A: &x x, B: y }'],
  ['sharding: { count: 10 }', 'sharding: { count: 1e1 }'],
])('what means the same has the same CID: %s', (...texts) => {
  expect(new Set(texts.map(job)).size).toBe(1)
})

test('what was said and what is default are different jobs: a default never moves a CID', () => {
  expect(
    new Set(
      ['', 'resources: { cpu: 500m }', 'resources: {}', 'network: { mode: none }', 'env: {}', 'publisher: { type: ipfs }', 'retry: { attempts: 3 }'].map(job),
    ).size,
  ).toBe(7)
  fc.assert(
    fc.property(arbitraryJob, (spec) => {
      const before = specCid(spec)
      const resolved = resolve(spec)
      expect(specCid(spec)).toBe(before)
      expect(taskSchema.parse(taskOf(resolved, before))).toEqual(taskOf(resolved, before))
    }),
    { numRuns: 100 },
  )
})

test('the canonical form decodes to the same job', () => {
  fc.assert(
    fc.property(arbitraryJob, (spec) => {
      expect(decodeCanonical(canonicalBytes(spec))).toEqual(spec)
    }),
    { numRuns: 80 },
  )
})

test.each([
  ['undefined', { a: undefined }],
  ['NaN', { a: Number.NaN }],
  ['infinity', [Number.POSITIVE_INFINITY]],
  ['half a character', { a: '\ud800' }],
  ['half a character as a key', { '\udc00': 1 }],
  ['a byte order mark', { a: '\ufeffa' }],
  ['a function', { a: () => 1 }],
])('%s has no canonical form', (_, value) => {
  expect(() => canonicalBytes(value)).toThrow(expect.objectContaining({ code: 'not-canonical' }))
  expect(() => cidOf(value)).toThrow(expect.objectContaining({ code: 'not-canonical' }))
})

test.each([
  ['keys out of order', 'a2616202616101'],
  ['a key twice', 'a2616101616101'],
  ['a longer integer than needed', '1800'],
  ['a half-precision float', 'f93c00'],
  ['a float that is an integer', 'fb3ff0000000000000'],
  ['indefinite length', '9f01ff'],
  ['trailing bytes', '0101'],
  ['a tag', 'c101'],
  ['undefined', 'f7'],
  ['NaN', 'fb7ff8000000000000'],
  ['ill-formed text', '61ff'],
  ['__proto__', 'a1695f5f70726f746f5f5fa0'],
  ['a number as a key', 'a10101'],
  ['an array that is not there', '9b0000000100000000'],
  ['a map that is not there', 'bb0000000100000000'],
  ['nothing', ''],
])('bytes that are not canonical are refused: %s', (_, hex) => {
  expect(() => decodeCanonical(Buffer.from(hex, 'hex'))).toThrow(expect.objectContaining({ code: 'not-canonical' }))
})

test('hostile bytes are refused in linear time and bounded depth', () => {
  for (const byte of [0x81, 0xa1, 0x9f, 0xd8, 0xff])
    expect(() => decodeCanonical(new Uint8Array(2 ** 20).fill(byte))).toThrow(expect.objectContaining({ code: 'not-canonical' }))
  expect(() => decodeCanonical(new Uint8Array(2 ** 20 + 1))).toThrow(expect.objectContaining({ code: 'not-canonical' }))
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        expect(Buffer.from(canonicalBytes(decodeCanonical(bytes)))).toEqual(Buffer.from(bytes))
      } catch (error) {
        expect(error).toMatchObject({ code: 'not-canonical' })
      }
    }),
    { numRuns: 800 },
  )
})

test('the fast encoder gives the bytes of the general one, or none', () => {
  const text = fc.oneof(fc.string({ unit: 'binary-ascii', maxLength: 300 }), fc.string({ unit: 'binary' }), fc.constantFrom('__proto__', '/', '', '\ufeffx'))
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      text,
      fc.maxSafeInteger(),
      fc.integer({ min: -70_000, max: 70_000 }),
      fc.double(),
      fc.boolean(),
      fc.constant(null),
      fc.constant(undefined),
      fc.uint8Array({ maxLength: 4 }),
      fc.array(tie('value'), { maxLength: 30 }),
      fc.dictionary(text, tie('value'), { maxKeys: 30 }),
    ),
  }))
  let fast = 0
  fc.assert(
    fc.property(value, (given) => {
      const plain = encodePlain(given)
      if (plain === undefined) return
      fast++
      expect(Buffer.from(plain).equals(encode(given))).toBe(true)
    }),
    { numRuns: 2000 },
  )
  expect(fast).toBeGreaterThan(200)
  // Too large for its buffer, or encoding while it encodes: not its business.
  expect(encodePlain('x'.repeat(70_000))).toBeUndefined()
  expect(encodePlain(Array(70_000).fill(0))).toBeUndefined()
  const reentrant = {
    a: 'x',
    get b() {
      return Buffer.from(canonicalBytes('inner')).toString('hex')
    },
  }
  expect(Buffer.from(canonicalBytes(reentrant)).equals(encode({ ...reentrant }))).toBe(true)
})
