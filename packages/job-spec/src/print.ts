import { Document, isScalar, visit } from 'yaml'
import * as z from 'zod'
import { type JobSpec, jobSchema } from './job.ts'

/**
 * Writes a job as a file: `readJob` of it gives the same spec, and so the same CID. Quantities and durations come in their shortest exact form.
 * Throws a `ZodError` if the spec is not a valid one.
 */
export const printJob = (spec: JobSpec, format: 'yaml' | 'json' = 'yaml'): string => {
  const file = z.encode(jobSchema, spec)
  if (format === 'json') return `${JSON.stringify(file, null, 2)}\n`
  const document = new Document(file, { aliasDuplicateObjects: false })
  visit(document, {
    Pair: (_, { key }) => {
      // Unquoted, it would be a merge key.
      if (isScalar(key) && key.value === '<<') key.type = 'QUOTE_DOUBLE'
    },
  })
  return document.toString({ lineWidth: 0 })
}
