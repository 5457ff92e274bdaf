import type { Incarnation } from './message.ts'

/** What a peer's incarnation is to one who remembers its highest. */
export type Admission = 'new' | 'same' | 'stale' | 'duplicate-identity'

/**
 * Compares the incarnation that a peer shows with the highest one known of it.
 *
 * - `new`: the peer started again (or is seen first): remember it; what the peer does not claim any more is lost.
 * - `same`: the one that is known.
 * - `stale`: an earlier one. Hints and announcements of it are dropped. A *message* of it may still be right: its bytes were fixed
 *   before its sender restarted, and are sent again as they are.
 * - `duplicate-identity`: two nodes run with one key, or a node went on from a copy of its state.
 */
export const admit = (known: Incarnation | undefined, seen: Incarnation): Admission => {
  if (known === undefined || seen.counter > known.counter) return 'new'
  if (seen.counter < known.counter) return 'stale'
  return seen.id === known.id ? 'same' : 'duplicate-identity'
}
