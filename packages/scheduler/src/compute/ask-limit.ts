import { createHash } from 'node:crypto'
import type { Clock } from '@skrei/transport'
import { createAllowance } from '../directory/allowance.ts'
import { forgetOldest } from '../forget-oldest.ts'
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
  const allowances = new Map<string, ReturnType<typeof createAllowance>>()
  let latest: { readonly requester: string; readonly allowance: ReturnType<typeof createAllowance> } | undefined

  const allowanceOf = (requester: string): ReturnType<typeof createAllowance> => {
    // Asks come many from one: only a change of requester is noted.
    if (latest?.requester === requester) return latest.allowance
    const allowance = allowances.get(requester) ?? createAllowance({ clock, burst: settings.asksAtOnce, perSecond: settings.asksPerSecond })
    allowances.delete(requester)
    allowances.set(requester, allowance)
    latest = { requester, allowance }
    forgetOldest(allowances, remembered)
    return allowance
  }

  return {
    take: (requester) => allowanceOf(requester).take(),
    retryAfter: (askId) => {
      const [chance = 0] = createHash('sha256').update(askId).digest()
      return Math.min(settings.longestRetryAfter, settings.retryAfter * (1 + chance / 256))
    },
  }
}
