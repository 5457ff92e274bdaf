import type { Clock } from '@skrei/transport'
import { forgetOldest } from '../forget-oldest.ts'
import { createAllowance } from './allowance.ts'

interface Rate {
  readonly burst: number
  readonly perSecond: number
}

/**
 * A small bucket for each peer, and a large one for all: one that floods empties its own, and the others are served as before. `mostPeers` have a bucket of their own; the one that
 * took longest ago loses it, and begins with a full one.
 */
export const createPeerAllowance = ({
  clock,
  each,
  all,
  mostPeers = 4096,
}: {
  readonly clock: Clock
  readonly each: Rate
  /** Absent: only each peer by itself is bounded. */
  readonly all?: Rate
  readonly mostPeers?: number
}) => {
  const buckets = new Map<string, ReturnType<typeof createAllowance>>()
  const common = all && createAllowance({ clock, ...all })
  return {
    take: (peer: string): boolean => {
      const own = buckets.get(peer) ?? createAllowance({ clock, ...each })
      buckets.delete(peer)
      buckets.set(peer, own)
      forgetOldest(buckets, mostPeers)
      return own.take() && (common === undefined || common.take())
    },
  }
}
