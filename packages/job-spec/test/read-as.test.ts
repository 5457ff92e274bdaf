import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { bytesSchema, checkAs, readAs } from '../src/index.ts'

const schema = z.strictObject({ api: z.strictObject({ port: z.int().max(65_535) }).optional(), memory: bytesSchema.optional() })
const options = { file: 'config.yaml', called: 'configuration file' }

test('a file of another schema is read with the same care: quantities, places, suggestions', () => {
  const read = readAs(schema, 'memory: 1Ki\napi: { port: 80 }\n', options)
  if (!read.ok) throw new Error(read.problems[0]?.message)
  expect([read.value, read.plain]).toEqual([
    { memory: 1024, api: { port: 80 } },
    { memory: '1Ki', api: { port: 80 } },
  ])
  expect(read.places(['api', 'port'])).toEqual({ line: 2, column: 14 })
})

test.each([
  ['prot: 1', 'unknown-key', 1, 1, 'unknown key `prot` in the configuration file'],
  ['api:\n  prot: 1', 'unknown-key', 2, 3, 'did you mean `port`?'],
  ['memory: lots', 'bad-quantity', 1, 9, 'expected a quantity'],
  ['[]', 'wrong-type', 1, 1, 'the configuration file: found an empty list, expected a mapping'],
  ['a: 1\n---\nb: 2', 'yaml-unsupported', 2, 1, 'second YAML document'],
])('what is wrong with %j is told with its place', (text, code, line, column, message) => {
  const read = readAs(schema, text, options)
  const found = read.ok ? undefined : read.problems.find((problem) => problem.code === code)
  expect(found).toMatchObject({ code, file: 'config.yaml', line, column })
  expect(found?.message).toContain(message)
})

test('what a schema cannot say is checked once it is met', () => {
  const further = ({ memory = 0 }: z.output<typeof schema>) => (memory > 0 ? [{ code: 'conflict' as const, path: ['memory'], message: 'too much' }] : [])
  expect(readAs(schema, 'memory: 1', { ...options, further })).toMatchObject({
    ok: false,
    problems: [{ code: 'conflict', message: 'too much', line: 1, column: 9 }],
  })
  expect(readAs(schema, 'memory: 0', { ...options, further })).toMatchObject({ ok: true })
})

test('a value that stands in no file is checked alike', () => {
  expect(checkAs(schema, { memory: '2Ki' })).toEqual({ ok: true, value: { memory: 2048 } })
  expect(checkAs(schema, { api: { port: 70_000 }, mem: 1 }, { called: 'configuration' })).toMatchObject({
    ok: false,
    problems: [
      { code: 'bad-value', path: ['api', 'port'] },
      { code: 'unknown-key', path: ['mem'], message: expect.stringContaining('in the configuration') },
    ],
  })
})

const anything = z.json()
/** What is read with its places, since it is not as a program writes it. */
const spaced = (text: string) => readAs(anything, `${text} `, { file: 'a.json' })

test('what a program writes as JSON is read as what a person writes, or refused with the same words', () => {
  const same = (text: string): void => {
    const [quick, slow] = [readAs(anything, text, { file: 'a.json' }), spaced(text)]
    expect({ ...quick, places: undefined }).toEqual({ ...slow, places: undefined })
  }
  fc.assert(fc.property(fc.json(), same))
  for (const text of [
    '{"a":1,"a":2}',
    '{"__proto__":1}',
    '{"a":{"__proto__":{"b":1}}}',
    '9007199254740992',
    '9007199254740993',
    '1e+21',
    '1e400',
    '-0',
    '1.0',
    '"\\ud800"',
    '"\\ufeffa"',
    '"\ufeffa"',
    '\ufeff{}',
    '"é"',
    '"\\n\\t\\"\\\\\\b\\f\\r"',
    '{"<<":1,"*a":"&b","":null,"constructor":"toString"}',
    `{"${'k'.repeat(2000)}":1}`,
    '[{"2":1,"1":2}]',
    `${'['.repeat(40)}${']'.repeat(40)}`,
    `${'['.repeat(70)}${']'.repeat(70)}`,
  ])
    same(text)
})

test('what a program writes as JSON has places too', () => {
  const read = readAs(anything, '{"a":[1,{"b":true}]}', { file: 'a.json' })
  if (!read.ok) throw new Error(read.problems[0]?.message)
  expect([read.places(['a', 1, 'b']), read.places(['a', 1, 'b'], 'key'), read.places(['a'])]).toEqual([
    { line: 1, column: 14 },
    { line: 1, column: 10 },
    { line: 1, column: 6 },
  ])
})
