import type { Clock } from '@skrei/transport'
import { forgetOldest } from '../forget-oldest.ts'
import { createAllowance } from './allowance.ts'

interface Rate {
  readonly burst: number
  readonly perSecond: number
}

/** So many peers have a bucket of their own; the one that took longest ago loses it, and begins with a full one. */
const mostPeers = 4096

/** A small bucket for each peer, and a large one for all: one that floods empties its own, and the others are served as before. */
export const createPeerAllowance = ({ clock, each, all }: { readonly clock: Clock; readonly each: Rate; readonly all: Rate }) => {
  const buckets = new Map<string, ReturnType<typeof createAllowance>>()
  const common = createAllowance({ clock, ...all })
  return {
    take: (peer: string): boolean => {
      const own = buckets.get(peer) ?? createAllowance({ clock, ...each })
      buckets.delete(peer)
      buckets.set(peer, own)
      forgetOldest(buckets, mostPeers)
      return own.take() && common.take()
    },
  }
}
