import { runInNewContext } from 'node:vm'

/** Milliseconds that a case may take where the suite is told nothing else. */
export const defaultDeadline = 30_000

/**
 * Throws by the case's name where a driver hangs. A store is synchronous, so no timer could fire meanwhile: https://nodejs.org/api/vm.html ends what runs,
 * from another thread.
 */
export const inTime = (name: string, deadline: number, work: () => void): void => {
  try {
    runInNewContext('work()', { work }, { timeout: deadline })
  } catch (error) {
    if ((error as { code?: unknown } | undefined)?.code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
    throw new Error(`"${name}" has not ended within ${deadline} ms: the driver hangs, or needs a longer deadline`, { cause: error })
  }
}
