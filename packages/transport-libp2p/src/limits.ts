/** How much of what a peer may ask for. All nodes of a network should have the same `maxBytes`. */
export interface Libp2pTransportLimits {
  /** The most bytes that one send, hint, query, chunk of an answer or publication holds; more is `too-large`. Default 4 MiB. */
  readonly maxBytes?: number
  /** The most messages in one send. Default 8,192. */
  readonly messages?: number
  /** Sends to, and from, one peer that wait for their acknowledgement. Default 4,096. */
  readonly sends?: number
  /** Bytes of those, with 64 for each message. Default 32 MiB. */
  readonly pendingBytes?: number
  /** Queries to, and from, one peer that run at once. Default 256. */
  readonly queries?: number
  /** How many bytes the answer to a query may be ahead of its reader. Default 256 KiB. */
  readonly window?: number
  /** Bytes of frames that have not arrived whole, of all peers together. Default 256 MiB. */
  readonly partialBytes?: number
  /** Bytes of sends and queries that handlers work on, of all peers together, with 64 for each message: once it is reached each peer has 64 KiB. Default 256 MiB. */
  readonly workingBytes?: number
  /** Peers that this node is linked with at once, configured ones apart. Default 1,024. */
  readonly peers?: number
}

export type Limits = Required<Libp2pTransportLimits>

const defaults: Limits = {
  maxBytes: 4 * 1024 * 1024,
  messages: 8192,
  sends: 4096,
  pendingBytes: 32 * 1024 * 1024,
  queries: 256,
  window: 256 * 1024,
  partialBytes: 256 * 1024 * 1024,
  workingBytes: 256 * 1024 * 1024,
  peers: 1024,
}

export const resolveLimits = (given: Libp2pTransportLimits = {}): Limits => {
  const limits: Limits = { ...defaults, ...given }
  for (const [name, value] of Object.entries(limits)) {
    if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`libp2pTransport: limits.${name} must be a whole number of at least 1, not ${value}`)
  }
  if (limits.maxBytes > 1024 * 1024 * 1024) throw new RangeError(`libp2pTransport: limits.maxBytes must be at most 1 GiB, not ${limits.maxBytes}`)
  if (limits.pendingBytes < limits.maxBytes)
    throw new RangeError(`libp2pTransport: limits.pendingBytes (${limits.pendingBytes}) must be at least limits.maxBytes (${limits.maxBytes})`)
  return Object.freeze(limits)
}

/** What holding one more message or chunk costs beside its bytes. */
const overhead = 64

export const costOf = (bytes: number, items: number): number => bytes + items * overhead

const fieldBytes = 4096

/** The rejections of one send at their longest: 1,024 with a code of 64 and a reason of 256 characters of 4 bytes, and three numbers. */
const longestAck = 1024 * (64 * 4 + 256 * 4 + 12) + fieldBytes

/** The longest frame: what it carries, a length for each message, and its other fields. */
export const longestFrame = ({ maxBytes, messages }: Limits): number => Math.max(maxBytes + messages * 5 + fieldBytes, longestAck)
