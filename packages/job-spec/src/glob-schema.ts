import * as z from 'zod'
import { parseGlob } from './glob.ts'

/** Text that is a pattern: see {@link parseGlob}. */
export const globSchema = z
  .string()
  .min(1)
  .max(1024)
  .superRefine((pattern, context) => {
    const parsed = parseGlob(pattern)
    if (!parsed.ok && pattern !== '')
      context.addIssue({
        code: 'custom',
        input: pattern,
        message: `expected ${parsed.error.expected}`,
        params: { code: 'bad-glob', offset: parsed.error.offset },
      })
  })

/** A pattern over the name of a device's model. */
export const modelPatternSchema = globSchema.max(256)
