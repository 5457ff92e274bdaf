/** One listener a signal: to add one costs a look at all that it has, and a node sends with one signal to everybody. */
export const abortListeners = (): ((signal: AbortSignal, run: () => void) => Disposable) => {
  const known = new Map<AbortSignal, Set<() => void>>()
  const onAbort = ({ currentTarget }: Event): void => {
    for (const run of [...(known.get(currentTarget as AbortSignal) ?? [])]) run()
  }
  return (signal, run) => {
    const runs = known.get(signal) ?? new Set()
    if (runs.size === 0) {
      known.set(signal, runs)
      signal.addEventListener('abort', onAbort)
    }
    runs.add(run)
    return {
      [Symbol.dispose]: () => {
        if (!runs.delete(run) || runs.size > 0) return
        signal.removeEventListener('abort', onAbort)
        known.delete(signal)
      },
    }
  }
}
