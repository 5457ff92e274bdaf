import { Ajv2020 } from 'ajv/dist/2020.js'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { jobJsonSchema, printJob } from '../src/index.ts'
import { arbitraryJob } from './arbitrary-job.ts'

const schema = jobJsonSchema()

test('job.schema.json is what the schema says; `vitest run -u` writes it anew', async () => {
  await expect(`${JSON.stringify(schema, null, 2)}\n`).toMatchFileSnapshot('../job.schema.json')
})

test('every field has a title and a description, and every mapping is closed', () => {
  const wrong: string[] = []
  const visit = (node: unknown, path: string): void => {
    if (typeof node !== 'object' || node === null) return
    if ('properties' in node && typeof node.properties === 'object' && node.properties !== null) {
      const extension = 'title' in node && node.title === 'Extension engine'
      if (!extension && !('additionalProperties' in node && node.additionalProperties === false)) wrong.push(`${path} is open`)
      for (const [key, field] of Object.entries(node.properties)) {
        for (const name of ['title', 'description'])
          if (typeof (field as Record<string, unknown>)[name] !== 'string') wrong.push(`${path}.${key} has no ${name}`)
      }
    }
    for (const [key, item] of Object.entries(node)) visit(item, `${path}/${key}`)
  }
  visit(schema, '')
  expect(wrong).toEqual([])
  expect(schema['$schema']).toBe('https://json-schema.org/draft/2020-12/schema')
})

// `format` is an annotation in draft 2020-12; ajv has no formats built in.
const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(schema)

test('what this package prints, the JSON Schema accepts', () => {
  fc.assert(
    fc.property(arbitraryJob, (spec) => {
      expect(validate(JSON.parse(printJob(spec, 'json'))), JSON.stringify(validate.errors)).toBe(true)
    }),
    { numRuns: 80 },
  )
})

test.each([
  { engin: {} },
  { engine: { type: 'wsam' } },
  { engine: { type: 'wasm' } },
  { engine: { type: 'noop', exitt: 1 } },
  { inputs: [{ path: '/a', source: { type: 'https' } }] },
  { inputs: [{ path: '/a', source: { type: 'https', url: 'http://a', urls: ['http://b'] } }] },
  { inputs: [{ path: '/a/../b', source: { type: 'local', path: 'a' } }] },
  { resources: { memory: '1GB' } },
  { timeouts: { total: '1' } },
  { sharding: { glob: '*', count: 1 } },
])('the JSON Schema refuses %j', (fields) => {
  expect(validate({ apiVersion: 'skrei/v1', engine: { type: 'noop' }, ...fields })).toBe(false)
})
