import * as fc from 'fast-check'
import { minimatch } from 'minimatch'
import { expect, test } from 'vitest'
import { globMatcher, parseGlob } from '../src/index.ts'

test.each([
  ['*.csv', 'a.csv', true],
  ['*.csv', 'a/b.csv', false],
  ['*.csv', '.csv', true],
  ['*', '.hidden', true],
  ['**/*.csv', 'a.csv', true],
  ['**/*.csv', 'a/b/c.csv', true],
  ['a/**', 'a', false],
  ['a/**', 'a/b/c', true],
  ['a/**/b', 'a/b', true],
  ['a/**/b', 'a/x/y/b', true],
  ['**', 'a/b', true],
  ['a**b', 'axxb', true],
  ['a**b', 'a/b', false],
  ['?', 'é', true],
  ['?', '😀', true],
  ['?', '/', false],
  ['[a-c]x', 'bx', true],
  ['[!a-c]x', 'bx', false],
  ['[!a-c]x', '/x', false],
  ['[^a]', 'b', true],
  ['[]]', ']', true],
  ['[!]]', ']', false],
  ['[a-]', '-', true],
  ['[\\]]', ']', true],
  ['\\*', '*', true],
  ['\\*', 'a', false],
  ['\\{a,b}', '{a,b}', true],
  ['{a,b}.{csv,tsv}', 'b.tsv', true],
  ['{a/**,b}/c', 'a/c', true],
  ['{,x}a', 'a', true],
  ['x{a,{b,c}d}', 'xcd', true],
  ['[{]a,b}', '{a,b}', true],
  ['a}', 'a}', true],
  ['a,b', 'a,b', true],
] as const)('%j on %j: %j', (pattern, path, expected) => expect(globMatcher(pattern)(path)).toBe(expected))

test.each([
  ['', 0],
  ['[a', 0],
  ['a[', 1],
  ['{a,b', 0],
  ['x{a}', 1],
  ['a\\', 1],
  ['a//b', 2],
  ['/a', 0],
  ['a/', 2],
  ['a/../b', 2],
  ['./a', 0],
  ['a[z-a]', 2],
  ['[a/b]', 2],
  ['{a,b}'.repeat(9), 40],
  ['{'.repeat(18), 17],
])('%j is refused at %i', (pattern, offset) => {
  const result = parseGlob(pattern)
  expect(result.ok ? 'read' : result.error.offset).toBe(offset)
  expect(() => globMatcher(pattern)).toThrow(expect.objectContaining({ code: 'bad-glob', offset }))
})

test('patterns mean what minimatch says they mean', () => {
  const part = fc
    .array(fc.constantFrom('a', 'b', '.', '*', '?', '[ab]', '[!a]', '{a,b}', '{a*,b?}', '\\*', '[a-b]'), { minLength: 1, maxLength: 4 })
    .map((tokens) => tokens.join(''))
  const pattern = fc
    .array(fc.oneof({ weight: 4, arbitrary: part }, { weight: 1, arbitrary: fc.constant('**') }), { minLength: 1, maxLength: 4 })
    .map((parts) => parts.join('/'))
  const name = fc.string({ unit: fc.constantFrom(...'ab.*'), minLength: 1, maxLength: 4 }).filter((name) => name !== '.' && name !== '..')
  const path = fc.array(name, { minLength: 1, maxLength: 5 }).map((names) => names.join('/'))
  fc.assert(
    fc.property(pattern, path, (pattern, path) => {
      const result = parseGlob(pattern)
      fc.pre(result.ok)
      if (result.ok) expect(result.match(path)).toBe(minimatch(path, pattern, { dot: true, noext: true, nonegate: true, nocomment: true }))
    }),
    { numRuns: 3000 },
  )
})

test('one star takes what is between the beginning and the end, never half a character', () => {
  expect(globMatcher('a*a')('a')).toBe(false)
  expect(globMatcher('a*a')('aa')).toBe(true)
  expect(globMatcher('*.csv')('a/b.csv')).toBe(false)
  expect(globMatcher('{a*,*b}')('xb')).toBe(true)
  expect(globMatcher('*\u{1f600}')('x\u{1f600}')).toBe(true)
  expect(globMatcher('*\ude00')('\u{1f600}')).toBe(false)
  expect(globMatcher('\ud83d*')('\u{1f600}')).toBe(false)
})

test('any text is a pattern or none, without another throw', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'ab/*?[]{}!^-,\\.é😀') }), fc.string(), (pattern, path) => {
      const result = parseGlob(pattern)
      if (result.ok) expect(typeof result.match(path)).toBe('boolean')
      else expect(result.error.offset).toBeLessThanOrEqual(pattern.length)
    }),
    { numRuns: 3000 },
  )
})

test('hostile patterns take no exponential time', () => {
  const long = 'a'.repeat(10_000)
  for (const pattern of ['*a*a*a*a*a*a*b', `${'*a'.repeat(200)}b`, `${'?*'.repeat(400)}b`, '{a,*a,**a}{a,*a}{b,*b}', `${'[a-z]*'.repeat(100)}1`])
    expect(globMatcher(pattern)(long)).toBe(false)
  const deep = Array.from({ length: 2000 }, () => 'a').join('/')
  for (const pattern of ['**/a/**/a/**/a/**/b', `${'**/*a/'.repeat(50)}b`, `${'**/'.repeat(300)}b`]) expect(globMatcher(pattern)(deep)).toBe(false)
  for (const pattern of ['{'.repeat(4096), '{a,b}'.repeat(800), `{${'a,'.repeat(2000)}b}`, '['.repeat(4096), '{a,{b,'.repeat(600), '['.repeat(1_000_000)])
    expect(parseGlob(pattern).ok).toBe(false)
}, 20_000)
