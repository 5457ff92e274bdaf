/** The user's wish to stop: `first` is aborted by the first SIGINT, SIGTERM or SIGHUP, `second` by the next one. */
export interface Interrupts extends Disposable {
  readonly first: AbortSignal
  readonly second: AbortSignal
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export const interrupts = (): Interrupts => {
  const first = new AbortController()
  const second = new AbortController()
  const handle = (): void => (first.signal.aborted ? second : first).abort(new DOMException('interrupted', 'AbortError'))
  for (const signal of signals) process.on(signal, handle)
  return {
    first: first.signal,
    second: second.signal,
    [Symbol.dispose]: () => {
      for (const signal of signals) process.off(signal, handle)
    },
  }
}
