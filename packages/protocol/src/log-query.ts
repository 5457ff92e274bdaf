import * as z from 'zod'
import { ProtocolError } from './error.ts'
import { count, id, protocolVersion } from './field.ts'
import { decodeQueryBody, encodeQueryBody } from './query-body.ts'

/** The query by which a requester reads what an execution of its own writes to its streams. It changes nothing. */
export const logsProtocol = `skrei/logs/${protocolVersion}`
/** The most bytes of one frame of the answer, its head apart. */
export const maxLogFrameBytes = 65_536

/** The body of the query. */
export const logRequestSchema = z.strictObject({
  network: id,
  execution: id,
  /** The streams that are wanted, at least one of them, and from which byte on each. */
  from: z
    .strictObject({ stdout: count.exactOptional(), stderr: count.exactOptional() })
    .refine(({ stdout, stderr }) => stdout !== undefined || stderr !== undefined, 'expected a stream'),
  /** Whether to go on with what will be written. */
  follow: z.boolean(),
})
export type LogRequest = z.output<typeof logRequestSchema>

/** Why an answer ends: code -> what it means. The last frame says it; an answer without one was cut off. */
export const logEnds = {
  over: 'everything was sent, and no more will be written',
  now: 'what there was by now was sent; the execution goes on',
  again: 'the node serves one query only for a while: ask again from where this one ended',
  gone: 'the execution is over, and the node has nothing of it any more',
  unknown: 'there is no such execution of the sender’s',
  'too-many': 'the node has as many of these queries open as it may, of this peer or of all',
  invalid: 'the body is none',
} as const
export type LogEnd = keyof typeof logEnds

export type LogFrame =
  | { readonly stream: 'stdout' | 'stderr'; readonly bytes: Uint8Array }
  /** Undefined: a reason that this release does not know. */
  | { readonly end: LogEnd | undefined }

/** @throws ProtocolError `malformed-message` */
export const encodeLogRequest = (request: LogRequest): Uint8Array => encodeQueryBody(logRequestSchema, request, 'log request')

/** @throws ProtocolError and nothing else: `malformed-message`, `message-too-large`, `unsupported-version`, `wrong-network` */
export const decodeLogRequest = (bytes: Uint8Array, { network }: { readonly network: string }): LogRequest =>
  decodeQueryBody(logRequestSchema, bytes, network, 'log request')

const headBytes = 5
const kinds = { stdout: 1, stderr: 2 } as const
const longestReason = 64

const framed = (kind: number, bytes: Uint8Array): Uint8Array => {
  const frame = new Uint8Array(headBytes + bytes.length)
  frame[0] = kind
  new DataView(frame.buffer).setUint32(1, bytes.length)
  frame.set(bytes, headBytes)
  return frame
}

/** One frame of an answer: a byte for what it is (1 `stdout`, 2 `stderr`), four bytes of length, big-endian, and so many bytes of the stream. */
export const encodeLogFrame = (stream: 'stdout' | 'stderr', bytes: Uint8Array): Uint8Array => {
  if (bytes.length === 0 || bytes.length > maxLogFrameBytes) throw new RangeError(`a frame has 1 to ${maxLogFrameBytes} bytes, not ${bytes.length}`)
  return framed(kinds[stream], bytes)
}

/** The last frame: the byte 0, four bytes of length, and the reason in ASCII. */
export const encodeLogEnd = (end: LogEnd): Uint8Array => framed(0, new TextEncoder().encode(end))

/**
 * The frames of an answer as they come, however the transport cuts them; a long one in parts. What follows the last is not read. Memory is bounded by one chunk of the transport.
 *
 * @throws ProtocolError `malformed-message`: it is no sequence of frames, or has no last one
 */
export async function* logFrames(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<LogFrame, void, undefined> {
  const head = new Uint8Array(headBytes)
  let headed = 0
  let left = 0
  let reason = ''
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      if (headed < headBytes) {
        head[headed] = chunk[at] as number
        headed += 1
        at += 1
        if (headed < headBytes) continue
        left = requireLength(head)
        continue
      }
      const part = chunk.subarray(at, at + left)
      at += part.length
      left -= part.length
      if (head[0] === 0) reason += String.fromCharCode(...part)
      else yield { stream: head[0] === kinds.stdout ? 'stdout' : 'stderr', bytes: part }
      if (left > 0) continue
      headed = 0
      if (head[0] !== 0) continue
      yield { end: Object.hasOwn(logEnds, reason) ? (reason as LogEnd) : undefined }
      return
    }
  }
  throw new ProtocolError('malformed-message', 'the answer is cut short')
}

const requireLength = (head: Uint8Array): number => {
  const [kind = 0] = head
  const length = new DataView(head.buffer).getUint32(1)
  if (kind > 2 || length === 0 || length > (kind === 0 ? longestReason : maxLogFrameBytes))
    throw new ProtocolError('malformed-message', `a frame of kind ${kind} with ${length} bytes`)
  return length
}
