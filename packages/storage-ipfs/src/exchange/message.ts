// The messages of bitswap 1.2.0 (https://specs.ipfs.tech/bitswap-protocol/), with helia's own codec. It is taken into dist by the build, as helia's node is.
import { BlockPresenceType, BitswapMessage as Codec, WantType } from '../../node_modules/@helia/bitswap/dist/src/pb/message.js'

export const bitswapProtocol = '/ipfs/bitswap/1.2.0'

/** The largest block that is kept, and something for what stands around it. */
const maxMessageBytes = 4 * 1024 * 1024 + 64 * 1024
/** The entries of any list in a message. What says more is nobody to talk to. */
const maxEntries = 8192
const limits = { wantlist: { entries: maxEntries }, blocks: maxEntries, blockPresences: maxEntries }

export interface WantEntry {
  readonly cid: Uint8Array
  /** The block itself is wanted, not only to know whether it is there. */
  readonly block: boolean
  /** To be told where it is not there. */
  readonly tellMissing: boolean
  readonly cancel: boolean
}

export interface Message {
  readonly wants: readonly WantEntry[]
  /** `wants` replace all that were told before. */
  readonly all: boolean
  /** The prefix is a CID without its digest. */
  readonly blocks: readonly { readonly prefix: Uint8Array; readonly data: Uint8Array }[]
  readonly presences: readonly { readonly cid: Uint8Array; readonly has: boolean }[]
}

export const noMessage: Message = { wants: [], all: false, blocks: [], presences: [] }

/** A message with its length before it. */
export const encodeMessage = ({ wants, all, blocks, presences }: Message): Uint8Array => {
  const entries = wants.map(({ cid, block, tellMissing, cancel }) => ({
    cid,
    priority: 1,
    cancel,
    wantType: block ? WantType.WantBlock : WantType.WantHave,
    sendDontHave: tellMissing,
  }))
  const body = Codec.encode({
    wantlist: { entries, full: all },
    blocks: blocks.map(({ prefix, data }) => ({ prefix, data })),
    blockPresences: presences.map(({ cid, has }) => ({ cid, type: has ? BlockPresenceType.HaveBlock : BlockPresenceType.DoNotHaveBlock })),
    pendingBytes: 0,
  })
  const length: number[] = []
  for (let rest = body.byteLength; ; rest = Math.floor(rest / 0x80)) {
    length.push(rest < 0x80 ? rest : (rest % 0x80) | 0x80)
    if (rest < 0x80) return Buffer.concat([Buffer.from(length), body])
  }
}

const decodeMessage = (bytes: Uint8Array): Message => {
  const { wantlist, blocks, blockPresences } = Codec.decode(bytes, { limits })
  return {
    wants: (wantlist?.entries ?? []).map(({ cid, wantType, sendDontHave, cancel }) => ({
      cid,
      block: wantType !== WantType.WantHave,
      tellMissing: sendDontHave === true,
      cancel: cancel === true,
    })),
    all: wantlist?.full === true,
    blocks,
    presences: blockPresences.map(({ cid, type }) => ({ cid, has: type === BlockPresenceType.HaveBlock })),
  }
}

/** What messages that have not come whole may hold, of all streams together. */
export const receiveBudget = (bytes: number): { take(more: number): boolean; give(back: number): void } => {
  let left = bytes
  return {
    take: (more) => {
      if (more > left) return false
      left -= more
      return true
    },
    give: (back) => {
      left += back
    },
  }
}

export interface MessageReader {
  /** Throws where what came is no message, or more than may be held. */
  push(bytes: Uint8Array): Message[]
  /** Whether a message has come in part. */
  partial(): boolean
  close(): void
}

/** Cuts messages out of a stream. What has come in part grows with the bytes that are there, not with the length that is promised. */
export const messageReader = (budget: ReturnType<typeof receiveBudget>): MessageReader => {
  let parts: Uint8Array[] = []
  let held = 0

  const drop = () => {
    budget.give(held)
    parts = []
    held = 0
  }

  const hold = (bytes: Uint8Array) => {
    if (!budget.take(bytes.byteLength)) throw new Error('too much is being received')
    held += bytes.byteLength
    parts.push(bytes)
  }

  /** The length that the buffer begins with, and where the message starts. */
  const header = (buffer: Uint8Array): { readonly start: number; readonly length: number } | undefined => {
    let length = 0
    for (let at = 0; at < 4; at += 1) {
      const byte = buffer[at]
      if (byte === undefined) return undefined
      length += (byte & 0x7f) * 2 ** (7 * at)
      if (byte >= 0x80) continue
      if (length > maxMessageBytes) break
      return { start: at + 1, length }
    }
    throw new Error(`a message of more than ${maxMessageBytes} bytes`)
  }

  const joined = (): Uint8Array => {
    const [only] = parts
    const all = parts.length === 1 && only !== undefined ? only : Buffer.concat(parts)
    parts = [all]
    return all
  }

  let needed = 1

  return {
    push: (bytes) => {
      hold(bytes)
      const messages: Message[] = []
      while (held >= needed) {
        const buffer = joined()
        const found = header(buffer)
        needed = found === undefined ? held + 1 : found.start + found.length
        if (found === undefined || held < needed) break
        const rest = buffer.subarray(needed)
        const body = buffer.subarray(found.start, needed)
        drop()
        needed = 1
        messages.push(decodeMessage(body))
        if (rest.byteLength > 0) hold(rest)
      }
      return messages
    },
    partial: () => held > 0,
    close: drop,
  }
}
