import type { Clock } from './index.ts'

/** `setTimeout` waits no longer than this (2^31 - 1 ms); what is further away waits in steps. */
const longest = 2_147_483_647

/** The clock of the machine. Its timers keep the process alive until they fire or are disposed. */
export const systemClock = (): Clock => ({
  now: () => Date.now(),
  at: (time, run) => {
    let timer: NodeJS.Timeout | undefined
    const wait = (): void => {
      const left = time - Date.now()
      timer = setTimeout(left > longest ? wait : run, Math.min(longest, Math.max(0, left)))
    }
    wait()
    return { [Symbol.dispose]: () => clearTimeout(timer) }
  },
})
