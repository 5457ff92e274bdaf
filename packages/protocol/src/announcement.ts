import { capacitySchema, deviceSchema } from '@skrei/job-spec'
import * as z from 'zod'
import { encodeCanonical, requireCanonical } from './canonical.ts'
import { type Check, decodeVersioned, type Sign } from './envelope.ts'
import { ProtocolError } from './error.ts'
import { count, duration, id, incarnationSchema, nodeId, protocolVersion } from './field.ts'
import { validate } from './validate.ts'

/** The largest announcement, in bytes: many nodes keep and pass on many of them. */
export const maxAnnouncementBytes = 65_536

/** What a node says of itself to the directory of others. Soft state: a hint. The highest (incarnation, counter) stands. */
export const announcementSchema = z.strictObject({
  network: id,
  node: nodeId,
  incarnation: incarnationSchema,
  counter: count,
  /** Milliseconds since the Unix epoch, by the node's own clock. */
  issuedAt: z.number().nonnegative().max(Number.MAX_SAFE_INTEGER),
  /** Milliseconds. */
  ttl: duration,
  engines: z.array(z.strictObject({ name: z.string().max(128), version: z.string().max(128) })).max(64),
  sources: z.array(z.string().max(64)).max(64),
  publishers: z.array(z.string().max(64)).max(64),
  capacity: capacitySchema,
  free: capacitySchema,
  devices: z.array(deviceSchema).max(256),
  labels: z.record(z.string().max(317), z.string().max(63)).refine((labels) => Object.keys(labels).length <= 64, 'expected at most 64 labels'),
})
export type Announcement = z.output<typeof announcementSchema>

const tooLarge = (bytes: Uint8Array): void => {
  if (bytes.length > maxAnnouncementBytes)
    throw new ProtocolError('message-too-large', `an announcement has at most ${maxAnnouncementBytes} bytes, this one ${bytes.length}`)
}

/**
 * What a node signs: the canonical form of [`skrei/announcement/1`, network, node, null, incarnation, [node, null, null, `announcement`, counter], body],
 * the body being the fields that are not named before it. It is the form of a message's signed bytes, with null for what an announcement does not have.
 */
export const announcementSignedBytes = ({ network, node, incarnation, counter, ...body }: Announcement): Uint8Array =>
  encodeCanonical([`skrei/announcement/${protocolVersion}`, network, node, null, incarnation, [node, null, null, 'announcement', counter], body])

/**
 * The canonical bytes of an announcement, with its version and signature.
 *
 * @throws ProtocolError `malformed-message`, `message-too-large`
 */
export const encodeAnnouncement = (announcement: Announcement, sign: Sign): Uint8Array => {
  const valid = validate(announcementSchema, announcement, 'announcement')
  const bytes = encodeCanonical({ version: protocolVersion, ...valid, signature: sign(announcementSignedBytes(valid)) })
  tooLarge(bytes)
  return bytes
}

/**
 * Reads an announcement, from wherever it came: its signature says whose it is.
 *
 * @throws ProtocolError and nothing else: `malformed-message`, `message-too-large`, `unsupported-version`, `wrong-network`, `bad-signature`
 */
export const decodeAnnouncement = (bytes: Uint8Array, { network, check }: { readonly network: string; readonly check: Check }): Announcement => {
  tooLarge(bytes)
  const { version, signature, ...rest } = decodeVersioned(bytes)
  if (typeof rest['network'] === 'string' && rest['network'] !== network)
    throw new ProtocolError(
      'wrong-network',
      `the announcement is of network ${JSON.stringify(rest['network'].slice(0, 128))}, expected ${JSON.stringify(network)}`,
    )
  const announcement = validate(announcementSchema, rest, 'announcement')
  if (!(signature instanceof Uint8Array)) throw new ProtocolError('bad-signature', 'the announcement is not signed')
  requireCanonical({ version, ...announcement, signature }, bytes)
  if (signature.length !== 64 || !check(announcement.node, announcementSignedBytes(announcement), signature))
    throw new ProtocolError('bad-signature', `the announcement is not signed by ${JSON.stringify(announcement.node)}`)
  return announcement
}
