import * as z from 'zod'
import { encodeCanonical, requireCanonical } from './canonical.ts'
import { decodeVersioned } from './envelope.ts'
import { ProtocolError } from './error.ts'
import { count, duration, id, incarnationSchema, protocolVersion } from './field.ts'
import { validate } from './validate.ts'

/** How far an execution is, as its node says. */
export const phaseSchema = z.enum(['queued', 'reserved', 'staging', 'running', 'finished', 'publishing', 'published'])

/** The most executions between one pair of nodes: what one hint can name. */
export const maxHintedExecutions = 8192

/** Hints: unsigned, unstored, newest wins (`counter` rises within an incarnation). One `alive` per pair of nodes covers all executions between them. */
export const hintSchema = z.discriminatedUnion('type', [
  /** compute -> requester: all executions of the requester's that this node has. One that is missing is lost. */
  z.strictObject({
    type: z.literal('alive'),
    network: id,
    incarnation: incarnationSchema,
    counter: count,
    executions: z.array(z.strictObject({ id, phase: phaseSchema, fraction: z.number().min(0).max(1).exactOptional() })).max(maxHintedExecutions),
  }),
  /** requester -> compute: the answer to the `alive` of the same counter. `lease` in milliseconds, from when that was sent; `stop`: executions to end. */
  z.strictObject({
    type: z.literal('lease'),
    network: id,
    incarnation: incarnationSchema,
    counter: count,
    lease: duration,
    stop: z.array(id).max(maxHintedExecutions),
  }),
])
export type Hint = z.output<typeof hintSchema>

/**
 * The canonical bytes of a hint, with its version.
 *
 * @throws ProtocolError `malformed-message`, `message-too-large`
 */
export const encodeHint = (hint: Hint): Uint8Array => encodeCanonical({ version: protocolVersion, ...validate(hintSchema, hint, 'hint') })

/**
 * Reads a hint of a peer that the channel proves.
 *
 * @throws ProtocolError and nothing else: `malformed-message`, `message-too-large`, `unsupported-version`, `wrong-network`
 */
export const decodeHint = (bytes: Uint8Array, { network }: { readonly network: string }): Hint => {
  const { version, ...rest } = decodeVersioned(bytes)
  if (typeof rest['network'] === 'string' && rest['network'] !== network)
    throw new ProtocolError('wrong-network', `the hint is of network ${JSON.stringify(rest['network'].slice(0, 128))}, expected ${JSON.stringify(network)}`)
  const hint = validate(hintSchema, rest, 'hint')
  requireCanonical({ version, ...hint }, bytes)
  return hint
}
