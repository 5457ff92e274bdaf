import type { Clock } from '@skrei/transport'

/** A token bucket: `take` says whether one more may be done now. */
export const createAllowance = ({ clock, burst, perSecond }: { readonly clock: Clock; readonly burst: number; readonly perSecond: number }) => {
  let left = burst
  let filledAt = clock.now()
  return {
    take: (): boolean => {
      const now = clock.now()
      left = Math.min(burst, left + (Math.max(0, now - filledAt) / 1000) * perSecond)
      filledAt = now
      if (left < 1) return false
      left--
      return true
    },
  }
}
