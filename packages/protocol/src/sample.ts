import * as z from 'zod'
import { maxAnnouncementBytes } from './announcement.ts'
import { ProtocolError } from './error.ts'
import { count, id, nodeId, protocolVersion } from './field.ts'
import { decodeQueryBody, encodeQueryBody } from './query-body.ts'

/** The query by which a node asks another for some of the announcements that it holds. It changes nothing. */
export const sampleProtocol = `skrei/directory/${protocolVersion}`
/** The most announcements in one answer. */
export const maxSampleSize = 32
/** The most bytes of one answer, lengths included. */
export const maxSampleBytes = 262_144
/** The most nodes that one request may ask about. */
export const maxAskedAbout = 64
/** The most ids of its peers that one answer names. */
export const maxNamedPeers = 8

/** The body of the query. */
export const sampleRequestSchema = z.strictObject({
  network: id,
  /** How many announcements are wanted; 0 for the head alone. */
  most: z.int().min(0).max(maxSampleSize),
  /** Only announcements of nodes with this engine; the answering node's own comes whatever it has. */
  engine: z.string().max(128).exactOptional(),
  /** "Which of these do you see?" */
  about: z.array(nodeId).max(maxAskedAbout),
})
export type SampleRequest = z.output<typeof sampleRequestSchema>

/** The first frame of the answer; the rest are announcements as their nodes signed them, the answering node's own first. */
export const sampleHeadSchema = z.strictObject({
  network: id,
  /** How many peers the node is connected to; an estimate where they are many. */
  peers: count,
  /** A few of them at random: whom to ask next. */
  some: z.array(nodeId).max(maxNamedPeers),
  /** Those of `about` that it is connected to. */
  sees: z.array(nodeId).max(maxAskedAbout),
})
export type SampleHead = z.output<typeof sampleHeadSchema>

/**
 * The canonical bytes of a request, with its version.
 *
 * @throws ProtocolError `malformed-message`
 */
export const encodeSampleRequest = (request: SampleRequest): Uint8Array => encodeQueryBody(sampleRequestSchema, request, 'sample request')

/** @throws ProtocolError and nothing else: `malformed-message`, `message-too-large`, `unsupported-version`, `wrong-network` */
export const decodeSampleRequest = (bytes: Uint8Array, { network }: { readonly network: string }): SampleRequest =>
  decodeQueryBody(sampleRequestSchema, bytes, network, 'sample request')

/**
 * The canonical bytes of an answer's head, with its version.
 *
 * @throws ProtocolError `malformed-message`
 */
export const encodeSampleHead = (head: SampleHead): Uint8Array => encodeQueryBody(sampleHeadSchema, head, 'sample head')

/** @throws ProtocolError and nothing else: `malformed-message`, `message-too-large`, `unsupported-version`, `wrong-network` */
export const decodeSampleHead = (bytes: Uint8Array, { network }: { readonly network: string }): SampleHead =>
  decodeQueryBody(sampleHeadSchema, bytes, network, 'sample head')

/** Bytes with their length before them, four bytes big-endian: what the answer is a sequence of, however the transport cuts it. */
export const frame = (bytes: Uint8Array): Uint8Array => {
  const framed = new Uint8Array(4 + bytes.length)
  new DataView(framed.buffer).setUint32(0, bytes.length)
  framed.set(bytes, 4)
  return framed
}

/**
 * The frames of an answer as they come, the head and `most` announcements at most; what follows is not read. Memory is bounded by `maxSampleBytes` and a chunk.
 *
 * @throws ProtocolError `message-too-large`, `malformed-message`
 */
export async function* sampleFrames(chunks: AsyncIterable<Uint8Array>, { most }: { readonly most: number }): AsyncIterable<Uint8Array> {
  let held = new Uint8Array(0)
  let total = 0
  let given = 0
  for await (const chunk of chunks) {
    total += chunk.length
    if (total > maxSampleBytes) throw new ProtocolError('message-too-large', `a sample has at most ${maxSampleBytes} bytes`)
    const joined = new Uint8Array(held.length + chunk.length)
    joined.set(held)
    joined.set(chunk, held.length)
    let at = 0
    while (joined.length - at >= 4) {
      const length = new DataView(joined.buffer, at).getUint32(0)
      if (length > maxAnnouncementBytes) throw new ProtocolError('message-too-large', `an announcement has at most ${maxAnnouncementBytes} bytes`)
      if (joined.length - at - 4 < length) break
      yield joined.slice(at + 4, at + 4 + length)
      at += 4 + length
      given += 1
      if (given > most) return
    }
    held = joined.slice(at)
  }
  if (held.length > 0) throw new ProtocolError('malformed-message', 'the sample is cut short')
}
