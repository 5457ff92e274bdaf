import { ApiError } from '../api-error.ts'
import type { ApiClientOptions } from './api-client.ts'

/** One run of tries: to be asked after each that failed. */
export interface Tries {
  /** Something came: what failed before counts no more. */
  progressed(): void
  /** Waits before the next try. Rejects with the error where there is none. */
  next(error: unknown, signal: AbortSignal | undefined): Promise<void>
  /** What the server said about how long to wait first, in milliseconds. */
  delay(milliseconds: number): void
}

const transient = (error: unknown): error is ApiError =>
  error instanceof ApiError && ['unreachable', 'too-many-streams', 'too-many-requests', 'logs-unavailable'].includes(error.code)

const sleepOnTimer = (milliseconds: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason)
      return
    }
    const stop = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, milliseconds)
    signal?.addEventListener('abort', stop, { once: true })
  })

/** Backoff with jitter, bounded in number: what is worth another try, and when. */
export const createRetries = ({ retry = {}, onRetry, sleep = sleepOnTimer, random = Math.random }: ApiClientOptions): (() => Tries) => {
  const { attempts = 8, delay: first = 200, longest = 10_000 } = retry
  return () => {
    let failed = 0
    let base = first
    return {
      progressed: () => {
        failed = 0
      },
      delay: (milliseconds) => {
        base = Math.min(Math.max(milliseconds, 1), longest)
      },
      next: async (error, signal) => {
        signal?.throwIfAborted()
        failed += 1
        if (!transient(error) || failed >= attempts) throw error
        onRetry?.(error)
        const pause = Math.min(base * 2 ** (failed - 1), longest) * (1 - random() / 2)
        await sleep(Math.max(pause, (error.retryAfter ?? 0) * 1000), signal)
      },
    }
  }
}
