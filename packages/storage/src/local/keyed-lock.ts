/** Runs work one after the other per key, in the order of the calls; keys do not wait for each other. */
export const keyedLock = () => {
  const last = new Map<string, Promise<unknown>>()
  return async <T>(key: string, work: () => Promise<T>): Promise<T> => {
    const before = last.get(key)
    const next = (): Promise<T> => work()
    const run = before === undefined ? work() : before.then(next, next)
    last.set(key, run)
    try {
      return await run
    } finally {
      if (last.get(key) === run) last.delete(key)
    }
  }
}
