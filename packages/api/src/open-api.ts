import { jobJsonSchema } from '@skrei/job-spec'
import * as z from 'zod'
import { type ApiErrorCode, apiErrors } from './api-error.ts'
import { endpoints, type RouteName } from './endpoints.ts'
import type { Route } from './route.ts'
import { routes } from './routes.ts'
import { errorBodySchema } from './schema/problem.ts'

type Json = Readonly<Record<string, unknown>>

/** What every route may answer, whatever it is. */
const always: readonly ApiErrorCode[] = ['host-refused', 'origin-refused', 'too-many-requests', 'node-fault']

const withoutDialect = ({ $schema: _, ...schema }: Json): Json => schema

const schemaOf = (schema: z.ZodType, io: 'input' | 'output'): Json => withoutDialect(z.toJSONSchema(schema, { io, target: 'draft-2020-12' }))

/** Moves the schemas that have an id of their own to the components, and leaves references to them. */
const componentsOf = () => {
  const components: Record<string, Json> = {}
  const moved = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(moved)
    if (typeof value !== 'object' || value === null) return value
    // A newer node may say more than this document does.
    const said = Object.entries(value).filter(([key, inner]) => key !== 'additionalProperties' || inner !== false)
    const entries = said.map(([key, inner]) =>
      key === '$ref' && typeof inner === 'string' ? [key, inner.replace(/^#\/\$defs\//, '#/components/schemas/')] : [key, moved(inner)],
    )
    const { id, $defs, ...rest } = Object.fromEntries(entries) as Json
    for (const [name, schema] of Object.entries(($defs as Readonly<Record<string, Json>> | undefined) ?? {})) {
      const { id: _, ...own } = schema
      components[name] ??= own
    }
    if (typeof id !== 'string') return id === undefined ? rest : { id, ...rest }
    components[id] ??= rest
    return { $ref: `#/components/schemas/${id}` }
  }
  return { components, moved: (schema: Json): Json => moved(schema) as Json }
}

const parameters = (name: RouteName, { query, headers }: Route, moved: (schema: Json) => Json): Json[] => {
  const inPath = [...endpoints[name].path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => ({
    name: parameter,
    in: 'path',
    required: true,
    description:
      parameter === 'id' ? 'A job id, or what at least 4 characters of one begin with.' : 'Relative to the result; its slashes are left as they are.',
    schema: { type: 'string' },
  }))
  const listed = (place: 'query' | 'header', schema: z.ZodObject | undefined) =>
    Object.entries(schema?.shape ?? {}).map(([key, value]) => {
      const { description, ...of } = moved(schemaOf(value as z.ZodType, place === 'header' || key === 'from' ? 'input' : 'output'))
      return { name: key, in: place, required: false, ...(description !== undefined && { description }), schema: of }
    })
  return [...inPath, ...listed('query', query), ...listed('header', headers)]
}

/** The OpenAPI 3.1 document of this API: every route, with everything it takes and answers. */
export const openApiDocument = (): Json => {
  const { components, moved } = componentsOf()
  components['JobFile'] = withoutDialect(jobJsonSchema())
  const error = moved(schemaOf(errorBodySchema, 'input'))
  const contentOf = (of: z.ZodType | 'text' | 'bytes' | 'events' | 'job'): Json => {
    if (of === 'job') return { schema: { $ref: '#/components/schemas/JobFile' } }
    if (of === 'bytes') return { schema: { type: 'string', format: 'binary' } }
    if (typeof of === 'string') return { schema: { type: 'string' } }
    return { schema: moved(schemaOf(of, 'input')) }
  }
  const operation = (name: RouteName, route: Route): Json => {
    const answers = Object.entries(route.answers).map(([status, { description, types, headers }]) => [
      status,
      {
        description,
        ...(headers && { headers: Object.fromEntries(Object.entries(headers).map(([key, text]) => [key, { description: text, schema: { type: 'string' } }])) }),
        content: Object.fromEntries(Object.entries(types).map(([type, of]) => [type, contentOf(of)])),
      },
    ])
    const byStatus = Map.groupBy([...route.errors, ...always], (code) => apiErrors[code].status)
    const errors = [...byStatus]
      .toSorted(([left], [right]) => left - right)
      .map(([status, codes]) => [
        status,
        {
          description: codes.map((code) => `\`${code}\`: ${apiErrors[code].cause}`).join('\n\n'),
          content: { 'application/json': { schema: error } },
        },
      ])
    const given = parameters(name, route, moved)
    return {
      operationId: name,
      summary: route.summary,
      ...(route.description && { description: route.description }),
      ...(given.length > 0 && { parameters: given }),
      ...(route.body && {
        requestBody: {
          description: route.body.description,
          required: true,
          content: Object.fromEntries(Object.entries(route.body.types).map(([type, of]) => [type, contentOf(of)])),
        },
      }),
      responses: { ...Object.fromEntries(answers), ...Object.fromEntries(errors) },
    }
  }
  const paths: Record<string, Record<string, Json>> = {}
  for (const [name, route] of Object.entries(routes) as [RouteName, Route][]) {
    const { method, path } = endpoints[name]
    paths[path] = { ...paths[path], [method.toLowerCase()]: operation(name, route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'skrei',
      version: '1',
      description:
        'The API of a skrei node. Branch on the `code` of an error: it stays; messages are for people and may change. What is wrong with a job file has its own codes, with status 422.',
      license: { name: 'Apache-2.0 OR MIT', identifier: 'Apache-2.0 OR MIT' },
    },
    paths,
    components: { schemas: Object.fromEntries(Object.entries(components).toSorted(([left], [right]) => (left < right ? -1 : 1))) },
  }
}
