import type { Clock } from '@skrei/transport'

/**
 * The node's own time: the time of day when it was made, and from then on the time that has passed. Setting the time of day changes nothing in it (PROTOCOL.md rule 7), so no
 * deadline comes early or waits longer because of it.
 */
export interface SteadyClock extends Clock {
  /** By how much the time of day has been set since this was last asked; 0 while that is no more than the tolerance. */
  jumped(): number
  /** By how much this is ahead of the time of day as far as jumps were seen; milliseconds. */
  ahead(): number
  /** The time of day as this run of the node knows it: what is compared with what other nodes say. Steady as well, but begun anew with every start. */
  readonly calendar: Clock
  /** Goes on where an earlier run of the node was: ahead of the time of day by so much more. */
  shift(ms: number): void
}

export const steadyClock = (clock: Clock, tolerance: number): SteadyClock => {
  const start = clock.now() - clock.elapsed()
  let base = start
  let seen = start
  const from = (origin: () => number): Clock => {
    const now = (): number => Math.floor(origin() + clock.elapsed())
    return { now, elapsed: () => clock.elapsed(), at: (time, run) => clock.at(clock.now() + time - now(), run), soon: (run) => clock.soon(run) }
  }
  return {
    ...from(() => base),
    calendar: from(() => start),
    jumped: () => {
      const by = clock.now() - clock.elapsed() - seen
      if (Math.abs(by) <= tolerance) return 0
      seen += by
      return by
    },
    ahead: () => base - seen,
    shift: (ms) => {
      base += ms
    },
  }
}
