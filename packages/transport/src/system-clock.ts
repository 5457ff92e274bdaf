import type { Clock } from './index.ts'

/** Below the 2^31 ms at which a timer would fire at once. */
const LONGEST_WAIT = 2 ** 30

export interface SystemClockOptions {
  /** Let the process end although something still waits. Default false: a pending `at` keeps the process alive, as `setTimeout` does. */
  readonly unref?: boolean
}

/** The time of day, real timers, and the time that has passed (`performance.now`). Never early; late by a moment on a busy process. */
export const systemClock = (options: SystemClockOptions = {}): Clock => {
  const { unref = false } = options
  const elapsed = (): number => performance.now()
  return {
    now: () => Date.now(),
    elapsed,
    at(time, run) {
      if (Number.isNaN(time)) throw new RangeError('systemClock: a time must be a number')
      if (time === Infinity) return { [Symbol.dispose]: () => {} }
      const due = elapsed() + time - Date.now()
      let timer: NodeJS.Timeout | undefined
      const wait = (): void => {
        timer = setTimeout(
          () => {
            if (elapsed() < due) wait()
            else run()
          },
          Math.min(Math.max(Math.ceil(due - elapsed()), 0), LONGEST_WAIT),
        )
        if (unref) timer.unref()
      }
      wait()
      return { [Symbol.dispose]: () => clearTimeout(timer) }
    },
    soon: (run) => void setImmediate(run),
  }
}
