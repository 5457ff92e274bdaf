/** A message that the receiver does not understand or accept, and will not however often it is sent. */
export interface Rejection {
  /** Which message of the send, from 0. */
  readonly index: number
  /** For programs: the receiver's own word, such as a code of `ProtocolError`. At most 64 characters. */
  readonly code: string
  /** For people; at most 256 characters. */
  readonly reason: string
}

const longestCode = 64
const longestReason = 256
const most = 1024

/**
 * What of a list of rejections travels, and what of it a sender believes: at most 1,024, in the order of their messages, one a message (the first
 * stands), each for one of the `messages` that were sent, with texts cut to their lengths. Drivers apply it to what a handler gives and to what a peer sends.
 */
export const boundedRejections = (rejections: readonly Rejection[], messages: number): readonly Rejection[] => {
  const byIndex = new Map<number, Rejection>()
  for (const { index, code, reason } of rejections) {
    if (byIndex.size >= most) break
    if (!Number.isSafeInteger(index) || index < 0 || index >= messages || byIndex.has(index)) continue
    byIndex.set(index, { index, code: code.slice(0, longestCode), reason: reason.slice(0, longestReason) })
  }
  return [...byIndex.values()].sort((one, other) => one.index - other.index)
}
