import * as z from 'zod'
import { decodeBounded, encodeCanonical, requireCanonical } from './canonical.ts'
import { ProtocolError } from './error.ts'
import { id, incarnationSchema, nodeId, protocolVersion } from './field.ts'
import { type AnyDraft, type AnyMessage, bodies, type MessageType, signedTypes, signedWhereVerified } from './message.ts'
import { slotOf } from './slot.ts'
import { validate } from './validate.ts'

/** Makes a signature: 64 bytes. An identity's `sign`. */
export type Sign = (bytes: Uint8Array) => Uint8Array
/** Says whether a node made a signature: `checkSignature`, or what a simulation puts in its place. */
export type Check = (nodeId: string, bytes: Uint8Array, signature: Uint8Array) => boolean

const signatureLength = 64

const envelope = <T extends MessageType>(type: T) =>
  z.strictObject({
    version: z.literal(protocolVersion),
    network: id,
    from: nodeId,
    to: nodeId,
    incarnation: incarnationSchema,
    type: z.literal(type),
    body: bodies[type],
    signature: z.instanceof(Uint8Array).exactOptional(),
  })

const types = Object.keys(bodies) as readonly MessageType[]
const envelopes: ReadonlyMap<string, z.ZodType> = new Map(types.map((type) => [type, envelope(type)]))

const envelopeOf = (type: string): z.ZodType => {
  const schema = envelopes.get(type)
  if (schema === undefined)
    throw new ProtocolError('unknown-message', `${JSON.stringify(type.slice(0, 64))} is not a message of protocol version ${protocolVersion}`)
  return schema
}

/**
 * What the sender of a message signs: the canonical form of [`skrei/<type>/1`, network, from, to, incarnation, slot, body].
 *
 * @throws ProtocolError `malformed-message`, `message-too-large`
 */
export const signedBytes = ({ network, from, to, incarnation, type, body }: AnyDraft): Uint8Array =>
  encodeCanonical([`skrei/${type}/${protocolVersion}`, network, from, to, incarnation, slotOf({ from, to, type, body } as AnyDraft), body])

/**
 * The canonical bytes of a message, signed where its type asks for it and its execution is verified. They are fixed once: write them where they survive a restart, and
 * send the same bytes again.
 *
 * A draft that its receiver would refuse is refused here, where the fault is.
 *
 * @param sign called at most once, only for {@link signedTypes}; undefined: the execution is not verified, and has no messages but those of {@link signedWhereVerified} and unsigned ones
 * @throws ProtocolError `malformed-message`, `unknown-message`, `message-too-large`, `bad-signature` (a message of a verification without `sign`)
 */
export const encodeMessage = (draft: AnyDraft, sign: Sign | undefined): Uint8Array => {
  const { network, from, to, incarnation, type, body } = draft
  // What the schema gives back is what is sent and signed: keys that it passes over in silence (`__proto__`) do not travel.
  const message = validate(envelopeOf(type), { version: protocolVersion, network, from, to, incarnation, type, body }, type) as AnyMessage
  if (!signedTypes.has(type) || (sign === undefined && signedWhereVerified.has(type))) return encodeCanonical(message)
  if (sign === undefined) throw new ProtocolError('bad-signature', `a ${type} is signed always`)
  return encodeCanonical({ ...message, signature: sign(signedBytes(message)) })
}

/** What the receiver of a message knows: `from` is the node that the channel proves. */
export interface Expectation {
  readonly network: string
  readonly self: string
  readonly from: string
  readonly check: Check
  /** Whether the execution that a message of {@link signedWhereVerified} is about is verified, so that it must be signed. Asked where it has no signature. Absent: it is. */
  readonly verified?: (message: AnyMessage) => boolean
}

const object = (value: unknown): Readonly<Record<string, unknown>> => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new ProtocolError('malformed-message', 'a message is a map')
  return value as Readonly<Record<string, unknown>>
}

/** The map that bytes hold, its version looked at. Shared by all that travels. */
export const decodeVersioned = (bytes: Uint8Array): Readonly<Record<string, unknown>> => {
  const value = object(decodeBounded(bytes))
  if (!Object.hasOwn(value, 'version') || !Number.isSafeInteger(value['version']))
    throw new ProtocolError('malformed-message', 'a message has a version, a whole number')
  if (value['version'] !== protocolVersion)
    throw new ProtocolError('unsupported-version', `this node speaks version ${protocolVersion}, the message is of version ${String(value['version'])}`)
  return value
}

const quote = (text: string): string => JSON.stringify(text.slice(0, 128))

/**
 * Reads a message from another node. What it returns is valid, canonical, for this node and this network, from the node that the channel proves,
 * and signed by it where its type and its execution ask for it. Time and memory are bounded by `maxMessageBytes`, `maxMessageItems`, `maxMessageDepth`.
 *
 * @throws ProtocolError and nothing else, whatever the bytes
 */
export const decodeMessage = (bytes: Uint8Array, { network, self, from, check, verified }: Expectation): AnyMessage => {
  const value = decodeVersioned(bytes)
  const type = value['type']
  if (typeof type !== 'string') throw new ProtocolError('malformed-message', 'a message has a type')
  const schema = envelopeOf(type)
  const expected = [
    ['network', network, 'wrong-network'],
    ['to', self, 'wrong-recipient'],
    ['from', from, 'wrong-sender'],
  ] as const
  for (const [field, want, code] of expected) {
    const found = value[field]
    if (typeof found === 'string' && found !== want) throw new ProtocolError(code, `the ${field} of this ${type} is ${quote(found)}, expected ${quote(want)}`)
  }
  // The schema of this type has read it: that is what makes it the member of the union that `type` names.
  const message = validate(schema, value, type) as AnyMessage
  requireCanonical(message, bytes)
  const signed = signedTypes.has(message.type)
  if (!signed && message.signature !== undefined) throw new ProtocolError('malformed-message', `a ${type} has no signature`)
  if (signed && message.signature === undefined && signedWhereVerified.has(message.type) && verified?.(message) === false) return message
  if (signed && (message.signature?.length !== signatureLength || !check(message.from, signedBytes(message), message.signature)))
    throw new ProtocolError('bad-signature', `this ${type} is not signed by ${quote(message.from)}`)
  return message
}
