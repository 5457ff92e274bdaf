import { type Announcement, admit, type Check, decodeAnnouncement } from '@skrei/protocol'
import type { Clock } from '@skrei/transport'
import type { Directory } from './directory.ts'

export interface HearWorld {
  readonly network: string
  readonly self: string
  readonly check: Check
  readonly clock: Clock
  readonly directory: Directory
  /** Told of what this node's own key has signed. */
  readonly twin?: (announcement: Announcement) => void
  /** Told, as its node signed it, of the newest announcement of a node that an older incarnation of it spoke after: two live with that key. */
  readonly twins?: (newest: Uint8Array) => void
}

/** Issued further away than this, an announcement is dropped; milliseconds (PROTOCOL.md rule 15). */
const farthest = 300_000

/**
 * Takes an announcement from wherever it came, by gossip or in a peer's answer: checked the same way. Returns what is new and kept.
 * Throws the `ProtocolError` of one that is not what it should be.
 */
export const hear = ({ network, self, check, clock, directory, twin, twins }: HearWorld, bytes: Uint8Array, via?: string): Announcement | undefined => {
  let repeated = false
  const announcement = decodeAnnouncement(bytes, {
    network,
    // The same bytes were checked when they came first.
    check: (node, signed, signature) => {
      repeated = isSame(directory.get(node)?.bytes, bytes)
      return repeated || check(node, signed, signature)
    },
  })
  if (repeated || Math.abs(announcement.issuedAt - clock.now()) > farthest) return undefined
  if (announcement.node === self) {
    twin?.(announcement)
    return undefined
  }
  if (directory.note(announcement, { bytes, ...(via !== undefined && { via }) })) return announcement
  const known = directory.get(announcement.node)
  // One that was overtaken by a restart was issued before the newest; only one that lives on speaks later.
  if (
    known?.bytes !== undefined &&
    admit(known.announcement.incarnation, announcement.incarnation) === 'stale' &&
    announcement.issuedAt > known.announcement.issuedAt
  )
    twins?.(known.bytes)
  return undefined
}

const isSame = (one: Uint8Array | undefined, other: Uint8Array): boolean =>
  one !== undefined && one.length === other.length && one.every((byte, place) => byte === other[place])
