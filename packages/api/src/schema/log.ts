import * as z from 'zod'

export const streamNames = ['stdout', 'stderr'] as const
export type StreamName = (typeof streamNames)[number]

/** A piece of what a program wrote. */
export interface LogChunk {
  readonly execution: string
  /** The node that ran, or runs, the execution. */
  readonly node: string
  readonly stream: StreamName
  /** Of the first byte in its stream. */
  readonly offset: number
  readonly bytes: Uint8Array
}

/** How much of an execution's streams somebody has: bytes of each. */
export interface LogPosition {
  readonly execution: string
  readonly stdout: number
  readonly stderr: number
}

/** A {@link LogChunk} as it crosses HTTP: `text` where its bytes are UTF-8, else `base64`. */
export const logEventSchema = z
  .object({
    execution: z.string(),
    node: z.string(),
    stream: z.enum(streamNames),
    offset: z.int().nonnegative(),
    text: z.string().exactOptional(),
    base64: z.string().exactOptional(),
  })
  .meta({ id: 'LogChunk', description: 'A piece of what a program wrote: `text` where its bytes are UTF-8, else `base64`.' })
export type LogEvent = z.output<typeof logEventSchema>
