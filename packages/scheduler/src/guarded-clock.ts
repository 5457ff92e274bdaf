import type { Clock } from '@skrei/transport'

/** A clock whose alarms fail by themselves: what one throws is reported, and ends neither the process nor another alarm. Whoever wants to be woken again says so before it can fail. */
export const guardedClock = (clock: Clock, report: (error: unknown) => void): Clock => {
  const guarded = (run: () => void) => (): void => {
    try {
      run()
    } catch (error) {
      report(error)
    }
  }
  return { now: () => clock.now(), elapsed: () => clock.elapsed(), at: (time, run) => clock.at(time, guarded(run)), soon: (run) => clock.soon(guarded(run)) }
}
