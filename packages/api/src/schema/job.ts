import { failureSchema, referenceSchema, refusalSchema, usageSchema } from '@skrei/job-spec'
import * as z from 'zod'
import { list } from './list.ts'

const count = z.int().nonnegative()
/** Milliseconds since the Unix epoch, by the node's clock. */
const time = z.number()

export const jobStates = ['planning', 'running', 'stopping', 'composing', 'completed', 'failed', 'cancelled'] as const
export const jobStateSchema = z.enum(jobStates)
export type JobState = z.output<typeof jobStateSchema>

/** A job as its requester sees it. */
export const jobViewSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    specCid: z.string().meta({ description: 'What is computed: the CID of the spec in its canonical form.' }),
    state: jobStateSchema,
    open: z.boolean().meta({ description: 'Whether the job goes on: false once it is completed, failed or cancelled.' }),
    submittedAt: time.meta({ description: "Milliseconds since the Unix epoch, by the node's clock." }),
    shards: z
      .object({ total: count, completed: count, failed: count, cancelled: count, active: count })
      .meta({ description: 'Absent until the job is planned.' })
      .exactOptional(),
    failure: failureSchema.exactOptional(),
    reference: referenceSchema.meta({ description: 'Where the composed result lies, once it is final.' }).exactOptional(),
  })
  .meta({ id: 'Job', description: 'A job as its requester sees it.' })
export type Job = z.output<typeof jobViewSchema>

export const jobPageSchema = z
  .object({
    jobs: list(jobViewSchema).meta({ description: 'Newest first.' }),
    next: z.string().meta({ description: 'What `after` takes to go on; absent on the last page.' }).exactOptional(),
  })
  .meta({ id: 'JobPage' })
export type JobPage = z.output<typeof jobPageSchema>

/** One shard of a job. */
export const shardViewSchema = z
  .object({
    index: count,
    state: z.string(),
    open: z.boolean(),
    node: z.string().exactOptional(),
    exit: z.int().exactOptional(),
    digest: z.string().exactOptional(),
    usage: usageSchema.exactOptional(),
    facts: z.record(z.string(), z.string()).exactOptional(),
    verdict: z.object({ assurance: z.enum(['refereed', 'quorum', 'economic', 'attested', 'none']), bound: z.number() }).exactOptional(),
    failure: failureSchema.exactOptional(),
    logs: referenceSchema
      .meta({ description: 'Of a shard without a result: where that lies which its last execution wrote until it was stopped, as its node said.' })
      .exactOptional(),
    executions: list(z.object({ id: z.string(), node: z.string(), outcome: z.string(), failure: failureSchema.exactOptional() })),
    refusals: list(refusalSchema)
      .meta({ description: 'Of one that waits for a node: why those that were asked last do not take it now, each reason once.' })
      .exactOptional(),
  })
  .meta({ id: 'Shard', description: 'One shard of a job. Those that were never opened are not listed.' })
export type Shard = z.output<typeof shardViewSchema>

export const shardPageSchema = z
  .object({ shards: list(shardViewSchema), next: count.meta({ description: 'What `after` takes to go on; absent on the last page.' }).exactOptional() })
  .meta({ id: 'ShardPage' })
export type ShardPage = z.output<typeof shardPageSchema>

/** The head of `result.json`: all of it but the shards. */
export const resultHeadSchema = z
  .object({
    jobId: z.string(),
    name: z.string(),
    specCid: z.string(),
    state: jobStateSchema,
    failure: failureSchema.exactOptional(),
    manifest: z.string().exactOptional(),
    counts: z
      .object({ total: count, completed: count, failed: count, cancelled: count })
      .meta({ description: 'How many shards there are in all, and how those ended that did. Absent until planned.' })
      .exactOptional(),
    limits: z.object({ stdout: z.number(), stderr: z.number() }).meta({ description: "Caps of each shard's streams, in bytes." }),
    reference: referenceSchema.meta({ description: 'Where the composed result lies, once it is final.' }).exactOptional(),
  })
  .meta({ id: 'ResultHead', description: 'The head of result.json: all of it but the shards.' })
export type ResultHead = z.output<typeof resultHeadSchema>
