import type { Clock } from '@skrei/transport'
import { forgetOldest } from '../forget-oldest.ts'

/** Which nodes failed lately by their own fault: soft, bounded, fading. */
export interface NodeFailures {
  note(node: string): void
  /** How many, those of an hour ago counting half. */
  recent(node: string): number
}

const halfLife = 3_600_000
/** As many as the directory may know. */
const bound = 512
/** More than this says nothing new, and takes longer to forget. */
const most = 16

export const createNodeFailures = ({ clock }: { readonly clock: Clock }): NodeFailures => {
  const known = new Map<string, { readonly count: number; readonly at: number }>()

  const recent = (node: string): number => {
    const found = known.get(node)
    return found === undefined ? 0 : found.count * 2 ** ((found.at - clock.now()) / halfLife)
  }

  return {
    recent,
    note: (node) => {
      const count = Math.min(most, recent(node) + 1)
      // The longest not renewed is the first to be forgotten.
      known.delete(node)
      known.set(node, { count, at: clock.now() })
      forgetOldest(known, bound)
    },
  }
}
