import * as z from 'zod'
import { jobSchema } from './job.ts'

/**
 * The JSON Schema (draft 2020-12) of the job file, for editors and other tools; `job.schema.json` of this package is it. What no JSON Schema
 * says (paths that overlap, selectors, quantities' bounds) only `readJob` checks.
 */
export const jobJsonSchema = (): Record<string, unknown> => ({
  ...z.toJSONSchema(jobSchema, { io: 'input', target: 'draft-2020-12' }),
  title: 'skrei job',
  description: 'A job file of apiVersion skrei/v1: what to compute, on which data, with which resources.',
})
