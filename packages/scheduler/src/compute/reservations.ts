import { forgetOldest } from '../forget-oldest.ts'
import type { Settings } from '../settings.ts'

/** How a bid ended: awarded, let go by its requester, or never answered. */
export type BidEnd = 'awarded' | 'released' | 'expired'

/**
 * What requesters do with the bids that they get (PROTOCOL.md rule 11): how many are open, and how many come to nothing. Who wins one bid in a few is what the protocol wants;
 * who holds capacity again and again and awards nothing has to wait, longer each time. Soft: a restart forgets the past.
 */
export interface Reservations {
  opened(requester: string, id: string, cost: number, at: number): void
  ended(requester: string, id: string, how: BidEnd, at: number): void
  /** Bids of this requester that are neither awarded nor over, and their shares of the node together. */
  held(requester: string): { readonly count: number; readonly share: number }
  /** For how long this requester gets no bid; 0 = it does. */
  pause(requester: string): number
  /** Forgets which bids are open, not how they ended. */
  clear(): void
}

interface Conduct {
  /** Bids that came to nothing, by how long they held capacity; less what awards made up for, and fading. */
  lapsed: number
  at: number
  level: number
  until: number
}

/** Of how many requesters the past is remembered. */
const remembered = 1024
/** A bid that is let go at once cost something, too. */
const leastLapse = 1 / 8
/** After how many lifetimes of a bid a lapse counts half. */
const halfLife = 4

export const createReservations = (world: {
  readonly settings: Pick<Settings, 'bidTtl' | 'lapses' | 'maxAsks' | 'retryAfter' | 'longestRetryAfter'>
  readonly now: () => number
  readonly random: () => number
}): Reservations => {
  const { settings } = world
  const open = new Map<string, Map<string, { readonly cost: number; readonly since: number }>>()
  const conducts = new Map<string, Conduct>()

  const judge = (requester: string, lapse: number, at: number): void => {
    const before = conducts.get(requester) ?? { lapsed: 0, at, level: 0, until: 0 }
    const faded = before.lapsed * 0.5 ** (Math.max(0, at - before.at) / (halfLife * settings.bidTtl))
    const conduct = { ...before, at, lapsed: Math.max(0, faded + lapse) }
    if (conduct.lapsed <= settings.lapses) Object.assign(conduct, { level: 0, until: 0 })
    // What lapses during a pause was offered before it.
    else if (lapse > 0 && at >= conduct.until) {
      const pause = Math.min(settings.longestRetryAfter, settings.retryAfter * 2 ** Math.min(conduct.level, 30))
      Object.assign(conduct, { level: conduct.level + 1, until: at + pause * (0.5 + world.random() / 2) })
    }
    conducts.delete(requester)
    if (conduct.lapsed > 0) conducts.set(requester, conduct)
    forgetOldest(conducts, remembered)
  }

  return {
    opened: (requester, id, cost, at) => {
      const bids = open.get(requester) ?? new Map()
      open.set(requester, bids)
      bids.set(id, { cost, since: at })
    },
    ended: (requester, id, how, at) => {
      const bids = open.get(requester)
      const bid = bids?.get(id)
      if (bids === undefined || bid === undefined) return
      bids.delete(id)
      if (bids.size === 0) open.delete(requester)
      // An award makes up for all the nodes that may have been asked for it.
      if (how === 'awarded') judge(requester, -settings.maxAsks, at)
      else judge(requester, how === 'expired' ? 1 : Math.min(1, Math.max(leastLapse, (at - bid.since) / settings.bidTtl)), at)
    },
    held: (requester) => {
      const bids = open.get(requester)
      let share = 0
      for (const { cost } of bids?.values() ?? []) share += cost
      return { count: bids?.size ?? 0, share }
    },
    pause: (requester) => Math.max(0, (conducts.get(requester)?.until ?? 0) - world.now()),
    clear: () => open.clear(),
  }
}
