/** Those who wait for news of something, by its key. */
export interface Waiters {
  /** Resolves with the next news of the key, or with the signal. Listens from the moment it is called, until it is disposed. */
  next(key: string, signal: AbortSignal): Disposable & { readonly promise: Promise<void> }
  /** There is news of the key. */
  wake(key: string): void
  has(key: string): boolean
  /** Those that somebody waits for. */
  keys(): Iterable<string>
}

export const createWaiters = (): Waiters => {
  const waiting = new Map<string, Set<() => void>>()
  return {
    next: (key, signal) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      const those = waiting.get(key) ?? new Set()
      waiting.set(key, those.add(resolve))
      const abort = (): void => resolve()
      signal.addEventListener('abort', abort)
      if (signal.aborted) resolve()
      return {
        promise,
        [Symbol.dispose]: () => {
          signal.removeEventListener('abort', abort)
          those.delete(resolve)
          if (those.size === 0 && waiting.get(key) === those) waiting.delete(key)
        },
      }
    },
    wake: (key) => {
      for (const resolve of waiting.get(key) ?? []) resolve()
    },
    has: (key) => waiting.has(key),
    keys: () => waiting.keys(),
  }
}
