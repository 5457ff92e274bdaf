import * as z from 'zod'

/** The version of every message; part of the signed bytes and of the transport's protocol names. */
export const protocolVersion = 1

/** A name without blanks in printable ASCII, so that ids can stand in keys and log lines as they are. */
export const id = z
  .string()
  .max(256)
  .regex(/^[\x21-\x7e]+$/, 'expected printable ASCII characters without blanks')
export const nodeId = z
  .string()
  .max(128)
  .regex(/^[\x21-\x7e]+$/, 'expected printable ASCII characters without blanks')
/** SHA-256. */
export const digest = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hexadecimal digits')
export const cid = z.string().min(1).max(256)
/** Milliseconds; whole or not; ten years at most, so that sums of some stay exact enough. */
export const duration = z.number().nonnegative().max(315_360_000_000)
export const count = z.int().nonnegative()
export const round = z.int().nonnegative()

/** Each start of a node has a new one: `counter` rises, `id` is random. */
export const incarnationSchema = z.strictObject({
  counter: z.int().positive(),
  id: z.string().regex(/^[0-9a-f]{16}$/, 'expected 16 lower-case hexadecimal digits'),
})
export type Incarnation = z.output<typeof incarnationSchema>
