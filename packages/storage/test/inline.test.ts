import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { sourceConformance } from '../src/conformance.ts'
import { inlineSource } from '../src/inline.ts'

sourceConformance({
  name: 'inline',
  create: async () => ({
    source: inlineSource(),
    putFile: async (bytes) => ({ type: 'inline', base64: Buffer.from(bytes).toString('base64') }),
    [Symbol.asyncDispose]: async () => {},
  }),
  largest: 1024 * 1024,
  failing: [
    { name: 'more than the limit', code: 'source-too-large', source: () => ({ type: 'inline', text: 'x'.repeat(1024 * 1024 + 1) }) },
    { name: 'not base64', code: 'source-invalid', source: () => ({ type: 'inline', base64: 'a-_=' }) },
    { name: 'text that is no text', code: 'source-invalid', source: () => ({ type: 'inline', text: '\ud800' }) },
    { name: 'both', code: 'source-invalid', source: () => ({ type: 'inline', text: '', base64: '' }) },
    { name: 'neither', code: 'source-invalid', source: () => ({ type: 'inline' }) },
  ],
})

test('text is UTF-8, the file is named inline, and its hash is known', async () => {
  const entries = []
  for await (const entry of inlineSource().list({ type: 'inline', text: 'ü' })) entries.push(entry)
  expect(entries).toEqual([
    { path: 'inline', source: { type: 'inline', text: 'ü' }, size: 2, hash: createHash('sha256').update('ü').digest('hex'), alone: true },
  ])
})

test('the limit counts bytes, and shows in assess', async () => {
  const source = inlineSource({ maxBytes: 2 })
  expect(await source.assess({ type: 'inline', text: 'ü' })).toEqual({ bytes: 2, held: true, refusals: [] })
  for (const spec of [
    { type: 'inline', text: 'üx' },
    { type: 'inline', base64: 'YWJj' },
  ] as const) {
    expect((await source.assess(spec)).refusals.map((refusal) => refusal.code)).toEqual(['input-too-large'])
  }
  expect(() => inlineSource({ maxBytes: -1 })).toThrow(TypeError)
})
