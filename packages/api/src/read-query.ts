import { suggestion } from '@skrei/job-spec'
import type * as z from 'zod'
import { ApiError } from './api-error.ts'

const quoted = (value: unknown): string => JSON.stringify(String(value).slice(0, 60))

const refuse = (what: string, schema: z.ZodObject, given: Readonly<Record<string, string>>, issue: z.core.$ZodIssue | undefined): ApiError => {
  if (issue?.code === 'unrecognized_keys') {
    const key = issue.keys[0] ?? ''
    const known = Object.keys(schema.shape)
    const meant = suggestion(key, known)
    const hint = meant !== undefined ? `did you mean \`${meant}\`?` : `it takes ${known.map((name) => `\`${name}\``).join(', ')}`
    return new ApiError('bad-request', `the ${what} has no \`${key.slice(0, 60)}\`: ${hint}`, { path: key.slice(0, 60) })
  }
  const key = String(issue?.path[0])
  const expected = issue?.code === 'invalid_value' ? `expected ${issue.values.join(' or ')}` : (issue?.message ?? 'expected another value')
  return new ApiError('bad-request', `the ${what}'s \`${key}\`: found ${quoted(given[key])}, ${expected}`, { path: key })
}

const check = (what: string, schema: z.ZodObject, given: Readonly<Record<string, string>>): unknown => {
  const read = schema.safeParse(given)
  if (read.success) return read.data
  throw refuse(what, schema, given, read.error.issues[0])
}

/** Reads what stands after the question mark. @throws ApiError `bad-request`, with the key as its `path` */
export const readQuery = (schema: z.ZodObject | undefined, text: string): unknown => {
  if (text === '' && schema === undefined) return {}
  const given: Record<string, string> = Object.create(null)
  if (text !== '') {
    for (const [key, value] of new URLSearchParams(text)) {
      if (key in given) throw new ApiError('bad-request', `the query has \`${key.slice(0, 60)}\` twice`, { path: key.slice(0, 60) })
      given[key] = value
    }
  }
  if (schema !== undefined) return check('query', schema, { ...given })
  const [key] = Object.keys(given)
  if (key !== undefined) throw new ApiError('bad-request', `the route takes no query, and so no \`${key.slice(0, 60)}\``, { path: key.slice(0, 60) })
  return {}
}

/** Reads the headers that a route has. @throws ApiError `bad-request`, with the header as its `path` */
export const readHeaders = (schema: z.ZodObject | undefined, header: (name: string) => string | undefined): unknown => {
  if (schema === undefined) return {}
  const given: Record<string, string> = {}
  for (const name of Object.keys(schema.shape)) {
    const value = header(name)
    if (value !== undefined) given[name] = value
  }
  return check('header', schema, given)
}
