import * as z from 'zod'

/** Content that the node keeps and gives to others: what a source of type `ipfs` names. */
export const blobSchema = z
  .object({ cid: z.string(), bytes: z.int().nonnegative() })
  .meta({ id: 'Blob', description: 'Content that the node keeps: what a source of type `ipfs` names.' })
export type Blob = z.output<typeof blobSchema>
