import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { matches, parseSelector, type Selector, selectorSchema } from '../src/index.ts'

const parse = (text: string): Selector => {
  const result = parseSelector(text)
  if (!result.ok) throw new Error(JSON.stringify(result.error))
  return result.selector
}

// From apimachinery's labels/selector_test.go (Apache-2.0): what matches and what does not.
test.each([
  ['', { x: 'y' }, true],
  ['x=y', { x: 'y' }, true],
  ['x=y,z=w', { x: 'y', z: 'w' }, true],
  ['x!=y,z!=w', { x: 'z', z: 'a' }, true],
  ['notin=in', { notin: 'in' }, true],
  ['x', { x: 'z' }, true],
  ['!x', { y: 'z' }, true],
  ['x=z', {}, false],
  ['x=y', { x: 'z' }, false],
  ['x=y,z=w', { x: 'w', z: 'w' }, false],
  ['x!=y,z!=w', { x: 'z', z: 'w' }, false],
  ['x', { y: 'z' }, false],
  ['!x', { x: 'z' }, false],
  ['x==y', { x: 'y' }, true],
  ['x!=y', {}, true],
  ['x notin (a)', {}, true],
  ['x notin (a,b)', { x: 'b' }, false],
  ['x in (a, b)', { x: 'b' }, true],
  ['x in (a, b)', {}, false],
  ['x in ()', {}, 'refused'],
  ['x=', { x: '' }, true],
  ['x=', {}, false],
  ['x in (a,)', { x: '' }, true],
  ['x in (,a)', { x: '' }, true],
  ['in in (in)', { in: 'in' }, true],
  ['  a  in ( b , c ) , ! d ', { a: 'c' }, true],
  ['a\tnotin\n(b)', { a: 'b' }, false],
  ['example.com/gpu.model in (A100)', { 'example.com/gpu.model': 'A100' }, true],
  ['constructor', {}, false],
  ['!toString', {}, true],
] as const)('%j on %j: %j', (text, labels, expected) => {
  const result = parseSelector(text)
  expect(result.ok ? matches(result.selector, labels) : 'refused').toBe(expected)
})

test.each([
  ['region in (eu, us', 17, 'the end'],
  ['a b', 2, '"b"'],
  ['a,', 2, 'the end'],
  [',a', 0, '","'],
  ['a,,b', 2, '","'],
  ['a in b', 5, '"b"'],
  ['a in (b c)', 8, '"c"'],
  ['a in ((b))', 6, '"("'],
  ['a in (b', 7, 'the end'],
  ['a in', 4, 'the end'],
  ['!', 1, 'the end'],
  ['!!a', 1, '"!"'],
  ['!a=b', 2, '"="'],
  ['a=b=c', 3, '"="'],
  ['a===b', 3, '"="'],
  ['a>1', 1, '">"'],
  ['-a', 0, '"-a"'],
  ['a=-b', 2, '"-b"'],
  ['a/b/c', 0, '"a/b/c"'],
  ['/a', 0, '"/a"'],
  ['A/b', 0, '"A/b"'],
  ['a=ä', 2, '"ä"'],
  [`a=${'x'.repeat(64)}`, 2, `"${'x'.repeat(60)}"`],
  [`${'x'.repeat(64)}`, 0, `"${'x'.repeat(60)}"`],
])('%j is refused at %i', (text, offset, found) => {
  const result = parseSelector(text)
  expect(result.ok).toBe(false)
  if (!result.ok) expect(result.error).toMatchObject({ offset, found })
})

test('a selector means the same however it is spaced', () => {
  const label = fc.stringMatching(/^[a-z]([a-z0-9-]{0,5}[a-z0-9])?$/)
  const space = fc.constantFrom('', ' ', '  ')
  const requirement = fc.oneof(
    label.map((key) => [key]),
    label.map((key) => ['!', key]),
    fc.tuple(label, fc.constantFrom('=', '==', '!='), label),
    fc
      .tuple(label, fc.constantFrom(' in ', ' notin '), fc.array(label, { minLength: 1, maxLength: 3 }))
      .map(([key, operator, values]) => [key, operator, '(', ...values.flatMap((value, index) => (index === 0 ? [value] : [',', value])), ')']),
  )
  fc.assert(
    fc.property(fc.array(requirement, { minLength: 1, maxLength: 4 }), fc.infiniteStream(space), (requirements, spaces) => {
      const tokens = requirements.flatMap((tokens, index) => (index === 0 ? tokens : [',', ...tokens]))
      const spaced = tokens.map((token) => spaces.next().value + token).join('')
      expect(parse(spaced)).toEqual(parse(tokens.join('')))
    }),
  )
})

test('a selector of a million characters is refused by the schema, and read in linear time without it', () => {
  const long = 'a,'.repeat(500_000)
  expect(selectorSchema.safeParse(long).success).toBe(false)
  expect(parse(`${long}a`)).toHaveLength(500_001)
  expect(parseSelector('!'.repeat(1_000_000)).ok).toBe(false)
  expect(parseSelector(`a in (${'a,'.repeat(500_000)}`).ok).toBe(false)
}, 20_000)
