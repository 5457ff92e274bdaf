import type { Clock } from './index.ts'

/**
 * Timers count time that has passed, the clock tells the time of day: a laptop that slept or a corrected clock makes the two disagree. No wait is longer than this,
 * so that a deadline is at most this late. It also keeps below the 2^31 ms at which a timer would fire at once.
 */
const LONGEST_WAIT = 60_000

export interface SystemClockOptions {
  /** Let the process end although something still waits. Default false: a pending `at` keeps the process alive, as `setTimeout` does. */
  readonly unref?: boolean
}

/**
 * The time of day and real timers. Never early; late by a moment on a busy process, and by up to a minute when the time of day jumps forward. When it is set back,
 * what waits goes on waiting for the time that it asked for.
 */
export const systemClock = (options: SystemClockOptions = {}): Clock => {
  const { unref = false } = options
  return {
    now: () => Date.now(),
    at(time, run) {
      if (Number.isNaN(time)) throw new RangeError('systemClock: a time must be a number')
      if (time === Infinity) return { [Symbol.dispose]: () => {} }
      let timer: NodeJS.Timeout | undefined
      const wait = (): void => {
        timer = setTimeout(
          () => {
            if (Date.now() < time) wait()
            else run()
          },
          Math.min(Math.max(time - Date.now(), 0), LONGEST_WAIT),
        )
        if (unref) timer.unref()
      }
      wait()
      return { [Symbol.dispose]: () => clearTimeout(timer) }
    },
  }
}
