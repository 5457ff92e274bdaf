import { expect, test } from 'vitest'
import { admit } from '../src/index.ts'

const known = { counter: 5, id: 'aaaaaaaaaaaaaaaa' }

test.each([
  ['the first that is seen', undefined, known, 'new'],
  ['a higher counter', known, { counter: 6, id: 'bbbbbbbbbbbbbbbb' }, 'new'],
  ['the same again', known, { ...known }, 'same'],
  ['a lower counter', known, { counter: 4, id: 'bbbbbbbbbbbbbbbb' }, 'stale'],
  ['a lower counter with the same id', known, { counter: 4, id: known.id }, 'stale'],
  ['the same counter with another id', known, { counter: 5, id: 'bbbbbbbbbbbbbbbb' }, 'duplicate-identity'],
] as const)('%s is admitted as it should be', (_, before, seen, expected) => {
  expect(admit(before, seen)).toBe(expected)
})
