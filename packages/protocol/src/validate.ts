import type * as z from 'zod'
import { acceptsOf } from './accepts.ts'
import { ProtocolError } from './error.ts'

/** The value as its schema reads it, which may be the one that is given; whatever goes wrong on the way is the value's fault. `what` begins the message: `bid`, `hint`. */
export const validate = <Schema extends z.ZodType>(schema: Schema, value: unknown, what: string): z.output<Schema> => {
  let problem: string
  let cause: unknown
  try {
    if (acceptsOf(schema)(value)) return value as z.output<Schema>
    const parsed = schema.safeParse(value)
    if (parsed.success) return parsed.data
    const [issue] = parsed.error.issues
    problem = `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`
  } catch (error) {
    problem = error instanceof Error ? error.message : 'it cannot be read'
    cause = error
  }
  throw new ProtocolError('malformed-message', `${what} is not valid at ${problem}`.slice(0, 512), cause === undefined ? undefined : { cause })
}
