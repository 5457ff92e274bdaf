import type * as z from 'zod'
import type { ApiErrorCode } from './api-error.ts'

/** What a route takes and answers, beside where it is: the source of its checks, of its part of the OpenAPI document and of the client's types. */
export interface Route {
  readonly summary: string
  readonly description?: string
  /** What stands after the question mark, each key once. Values come as texts. */
  readonly query?: z.ZodObject
  /** Headers that the route reads, in lower case; all are optional. */
  readonly headers?: z.ZodObject
  /** Media types of the body; the schema of JSON and YAML is what the text says, of others bytes. */
  readonly body?: { readonly description: string; readonly types: Readonly<Record<string, 'job' | 'bytes'>> }
  readonly answers: Readonly<Record<number, Answer>>
  /** Beside those that every route may give. */
  readonly errors: readonly ApiErrorCode[]
}

interface Answer {
  readonly description: string
  /** Media type -> what it holds: a schema of JSON, or text, bytes or events. */
  readonly types: Readonly<Record<string, z.ZodType | 'text' | 'bytes' | 'events' | 'job'>>
  readonly headers?: Readonly<Record<string, string>>
}
