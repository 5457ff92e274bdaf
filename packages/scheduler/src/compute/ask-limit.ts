import { createHash } from 'node:crypto'
import type { Clock } from '@skrei/transport'
import { createPeerAllowance } from '../directory/peer-allowance.ts'
import type { Settings } from '../settings.ts'

/** How many asks of one requester a node looks into: each is a row, an assessment and a decision, whoever sends it. */
export interface AskLimit {
  /** Whether one more ask of this requester is looked into now. */
  take(requester: string): boolean
  /** When to ask again, in milliseconds: the same for the same ask each time, for what is said again must be the same; not the same for all asks. */
  retryAfter(askId: string): number
}

/** Of so many requesters the pace is known; the one that has not asked for the longest is forgotten. */
const remembered = 1024

export const createAskLimit = (world: {
  readonly clock: Clock
  readonly settings: Pick<Settings, 'asksAtOnce' | 'asksPerSecond' | 'retryAfter' | 'longestRetryAfter'>
}): AskLimit => {
  const { clock, settings } = world
  const pace = { burst: settings.asksAtOnce, perSecond: settings.asksPerSecond }
  const { take } = createPeerAllowance({ clock, each: pace, mostPeers: remembered })

  return {
    take,
    retryAfter: (askId) => {
      const [chance = 0] = createHash('sha256').update(askId).digest()
      return Math.min(settings.longestRetryAfter, settings.retryAfter * (1 + chance / 256))
    },
  }
}
