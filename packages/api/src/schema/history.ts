import * as z from 'zod'

const base = z.object({
  sequence: z.int().nonnegative().meta({ description: 'Rises over all entries of the node.' }),
  at: z.number().meta({ description: "Milliseconds since the Unix epoch, by the node's clock." }),
  kind: z.enum(['job', 'shard', 'execution', 'compute']),
  id: z.string(),
  shard: z.int().nonnegative().exactOptional(),
  node: z.string().meta({ description: 'The node that runs the execution.' }).exactOptional(),
  event: z.string(),
  actor: z.string().meta({ description: 'Who caused it: a node id, `user`, `clock`, the name of an effect, or another object of the node.' }),
})
const more = z.int().nonnegative().meta({ description: 'How many more came to nothing after this one; they are not recorded.' }).exactOptional()

/** One entry of a job's history: what happened, and what came of it. */
export const historyItemSchema = z
  .union([
    base.extend({ from: z.string().meta({ description: 'Absent: the object is new.' }).exactOptional(), to: z.string() }),
    base.extend({ refused: z.enum(['final', 'not-accepted', 'equivocation']), more }),
    base.extend({ fault: z.string(), more }),
    base.extend({ undeliverable: z.object({ message: z.string(), code: z.string(), reason: z.string() }) }),
  ])
  .meta({ id: 'HistoryItem' })
export type HistoryItem = z.output<typeof historyItemSchema>

/** How far an execution is. A hint: it may be lost, and none is kept. */
export const progressSchema = z
  .object({ shard: z.int().nonnegative(), node: z.string(), phase: z.string(), fraction: z.number().min(0).max(1).exactOptional() })
  .meta({ id: 'Progress', description: 'How far an execution is. A hint: it may be lost, and none is kept.' })
export type Progress = z.output<typeof progressSchema>
