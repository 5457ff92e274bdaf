/** One listener a signal: to add one costs a look at all that it has, and a node sends with one signal to everybody. */
export const abortListeners = (): ((signal: AbortSignal, run: () => void) => Disposable) => {
  const known = new Map<AbortSignal, { readonly runs: Set<() => void>; readonly onAbort: () => void }>()
  const listenTo = (signal: AbortSignal) => {
    const runs = new Set<() => void>()
    // Not by the event's `currentTarget`: in Node 24 it is null for all listeners but the first.
    const listening = { runs, onAbort: () => [...runs].forEach((run) => void run()) }
    known.set(signal, listening)
    signal.addEventListener('abort', listening.onAbort)
    return listening
  }
  return (signal, run) => {
    const { runs, onAbort } = known.get(signal) ?? listenTo(signal)
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
