import type * as z from 'zod'
import { encodeCanonical, requireCanonical } from './canonical.ts'
import { decodeVersioned } from './envelope.ts'
import { ProtocolError } from './error.ts'
import { protocolVersion } from './field.ts'
import { validate } from './validate.ts'

/** The canonical bytes of a map that a query carries, with its version. Throws a ProtocolError `malformed-message`. */
export const encodeQueryBody = <T extends object>(schema: z.ZodType<T>, value: T, what: string): Uint8Array =>
  encodeCanonical({ version: protocolVersion, ...validate(schema, value, what) })

/** Throws a ProtocolError and nothing else: `malformed-message`, `message-too-large`, `unsupported-version`, `wrong-network`. */
export const decodeQueryBody = <T extends { readonly network: string }>(schema: z.ZodType<T>, bytes: Uint8Array, network: string, what: string): T => {
  const { version, ...rest } = decodeVersioned(bytes)
  if (typeof rest['network'] === 'string' && rest['network'] !== network)
    throw new ProtocolError('wrong-network', `the ${what} is of network ${JSON.stringify(rest['network'].slice(0, 128))}, expected ${JSON.stringify(network)}`)
  const value = validate(schema, rest, what)
  requireCanonical({ version, ...value }, bytes)
  return value
}
