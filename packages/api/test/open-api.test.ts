import { readFile } from 'node:fs/promises'
import { Validator } from '@seriousme/openapi-schema-validator'
import { expect, test } from 'vitest'
import { endpoints } from '../src/endpoints.ts'
import { findRoute } from '../src/find-route.ts'
import { openApiDocument } from '../src/open-api.ts'
import { served } from './served.ts'

type Json = Readonly<Record<string, unknown>>
const document = openApiDocument() as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Json>>>>
  readonly components: { readonly schemas: Json }
}

test('the document is OpenAPI 3.1, and a change that makes it another is seen', async () => {
  const validator = new Validator()
  expect(await validator.validate(structuredClone(document))).toEqual({ valid: true })
  expect(validator.version).toBe('3.1')
  expect((await new Validator().validate({ ...structuredClone(document), paths: { '/a': { get: { responses: 3 } } } })).valid).toBe(false)
})

test('the document that is checked in, and the one that a node serves, are this one', async () => {
  const { server } = await served()
  const plain = JSON.parse(JSON.stringify(document))
  expect(JSON.parse(await readFile(new URL('../openapi.json', import.meta.url), 'utf8'))).toEqual(plain)
  expect(await (await fetch(`${server.url}/openapi.json`)).json()).toEqual(plain)
})

test('every route of the router is in the document, and the other way round', () => {
  const documented = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { operationId }]) => [operationId, method.toUpperCase(), path]),
  )
  expect(documented.toSorted()).toEqual(
    Object.entries(endpoints)
      .map(([name, { method, path }]) => [name, method, path])
      .toSorted(),
  )
  for (const [name, method, path] of documented as [string, string, string][]) {
    const found = findRoute(method, path.replace('{id}', 'a').replace('{path}', 'b/c'), () => undefined)
    expect(found).toEqual({ name, id: path.includes('{id}') ? 'a' : '', path: path.includes('{path}') ? 'b/c' : '' })
  }
})

test('every reference leads to a component, and every component is referred to', () => {
  const text = JSON.stringify(document)
  const referred = new Set([...text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name))
  expect([...referred].toSorted()).toEqual(Object.keys(document.components.schemas).toSorted())
  expect([...text.matchAll(/"\$ref":"(?!#\/components\/schemas\/)/g)]).toEqual([])
  expect(text).not.toContain('$defs')
})

test('what may be left out is not said to be required', () => {
  const job = document.components.schemas['Job'] as { readonly required: readonly string[]; readonly properties: Json }
  expect(job.required).toContain('id')
  expect(job.required).not.toContain('failure')
  expect(job.properties['failure']).toBeDefined()
  // A node that is newer may say more; a job file may not.
  const { JobFile, ...others } = document.components.schemas
  expect(JSON.stringify([others, document.paths])).not.toContain('"additionalProperties":false')
  expect(JSON.stringify(JobFile)).toContain('"additionalProperties":false')
})
