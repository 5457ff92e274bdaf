import { capacitySchema, failureSchema, refusalSchema } from '@skrei/job-spec'
import * as z from 'zod'
import { list } from './list.ts'
import { problemSchema } from './problem.ts'

const count = z.int().nonnegative()

/** What the node finds in a job file that is right. */
export const validationSchema = z
  .object({ specCid: z.string(), warnings: list(problemSchema).meta({ description: 'What will not work as things stand, though the file is right.' }) })
  .meta({ id: 'Validation' })
export type Validation = z.output<typeof validationSchema>

const plannedNodeSchema = z.object({
  node: z.string(),
  answer: z.enum(['runs', 'waits', 'not-now', 'never', 'unknown']).meta({
    description: '`waits`: it has no room now. `not-now`: it refuses for a reason that may pass. `never`: it cannot run this. `unknown`: it did not answer.',
  }),
  refusals: list(refusalSchema),
  free: capacitySchema.meta({ description: 'Milli-CPU and bytes.' }).exactOptional(),
  queued: count.meta({ description: 'Asks that wait there.' }).exactOptional(),
})

/** What a job would come to if it were submitted now. */
export const planSchema = z
  .object({
    name: z.string(),
    specCid: z.string(),
    outcome: z.enum(['runs', 'waits', 'no-node', 'input-failed']).meta({
      description:
        '`runs`: some node would take it now. `waits`: some node would, once it has room. `no-node`: none that was asked would. `input-failed`: the inputs could not be listed, or every node refuses them.',
    }),
    input: z
      .object({ shards: count, files: count, bytes: z.number().nonnegative().exactOptional(), manifest: z.string() })
      .meta({ description: 'Absent where the inputs could not be listed; `bytes` is absent where a source does not say.' })
      .exactOptional(),
    failure: failureSchema.exactOptional(),
    known: count.meta({ description: 'Nodes that are known; those that were asked are `nodes`.' }),
    nodes: list(plannedNodeSchema).meta({ description: 'Best first.' }),
    first: list(z.object({ index: count, node: z.string(), waits: z.boolean() })).meta({ description: 'Where the first shards would go.' }),
  })
  .meta({ id: 'Plan', description: 'What a job would come to if it were submitted now: a look, nothing is promised.' })
export type Plan = z.output<typeof planSchema>
