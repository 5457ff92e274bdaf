import { capacitySchema, fileEntrySchema, refusalSchema, taskSchema } from '@skrei/job-spec'
import * as z from 'zod'
import { count, protocolVersion } from './field.ts'
import { termsSchema } from './message.ts'

/** The query by which a node asks another what it would say to an ask. Nothing is written, nothing reserved. */
export const assessProtocol = `skrei/assess/${protocolVersion}`
/** As many as an ask lists itself. */
export const maxWishFiles = 32

/** The body of the query: a task, and some of the files of one execution. */
export const wishSchema = z.strictObject({
  task: taskSchema.extend({ outputs: taskSchema.shape.outputs.max(256) }),
  terms: termsSchema.pick({ publishers: true, verification: true, constraints: true }),
  /** Of the first shard. */
  files: z.array(fileEntrySchema).max(maxWishFiles),
})
export type Wish = z.output<typeof wishSchema>

/** What a node says to it. It holds nothing and promises nothing: a moment later all of it may be otherwise. */
export const assessedSchema = z.strictObject({
  /** `[]`: it would run it. */
  refusals: z.array(refusalSchema).max(64),
  /** What the task lacks now, where it would run but has to wait. */
  lacks: refusalSchema.exactOptional(),
  free: capacitySchema,
  /** Asks that wait here before it. */
  queued: count,
})
/** The node was asked too much, or could not find out in time. */
export const notAssessedSchema = z.strictObject({ unknown: z.enum(['too-many', 'failed', 'invalid']) })
export const assessmentSchema = z.union([assessedSchema, notAssessedSchema])
export type Assessment = z.output<typeof assessmentSchema>
