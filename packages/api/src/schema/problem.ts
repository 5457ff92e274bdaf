import * as z from 'zod'
import { list } from './list.ts'

/** One thing that is wrong, and where: the shape of every problem in this API. */
export const problemSchema = z
  .object({
    code: z.string().meta({ description: 'Stable; branch on it.' }),
    message: z.string().meta({ description: 'For people; may change.' }),
    remedy: z.string().meta({ description: 'What to do about it.' }).exactOptional(),
    file: z.string().exactOptional(),
    line: z.int().positive().exactOptional(),
    column: z.int().positive().exactOptional(),
    path: z.string().meta({ description: 'The field, such as `inputs[0].source.url`.' }).exactOptional(),
  })
  .meta({ id: 'Problem' })
export type Problem = z.output<typeof problemSchema>

export const errorBodySchema = z
  .object({
    error: z.object({
      ...problemSchema.shape,
      problems: list(problemSchema)
        .meta({ description: 'Everything that is wrong with a job file, in its order; the error itself is the first of them.' })
        .exactOptional(),
    }),
  })
  .meta({ id: 'Error', description: 'Every answer that is not a success.' })
export type ErrorBody = z.output<typeof errorBodySchema>
