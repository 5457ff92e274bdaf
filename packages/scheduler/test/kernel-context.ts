import type { TurnContext } from '../src/kernel/turn.ts'

/** What a kernel needs besides a store and a clock; it knows no kind of object. */
export const contextWith = (more: Partial<TurnContext> = {}): TurnContext => ({
  kinds: {},
  encode: () => new Uint8Array(),
  incarnation: () => ({ counter: 1, id: '0'.repeat(16) }),
  equivocated: () => {},
  freed: () => [],
  fault: () => {},
  held: () => undefined,
  refusals: 10,
  recorded: () => {},
  report: () => {},
  ...more,
})
