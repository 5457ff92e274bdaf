export interface TakingTurns {
  /** Resolves once a place is free, with what gives it back: to be called once. */
  next(signal: AbortSignal): Promise<() => void>
}

/** So many at a time, in the order in which they came. */
export const takingTurns = (places: number): TakingTurns => {
  let free = places
  const waiting = new Set<() => void>()
  const leave = () => {
    const [next] = waiting
    if (next === undefined) free += 1
    else {
      waiting.delete(next)
      next()
    }
  }
  return {
    next: async (signal) => {
      if (free > 0) {
        free -= 1
        return leave
      }
      const turn = Promise.withResolvers<void>()
      waiting.add(turn.resolve)
      const giveUp = () => {
        // Not where the turn has come meanwhile: it is passed on by whoever holds it.
        if (waiting.delete(turn.resolve)) turn.reject(signal.reason)
      }
      signal.addEventListener('abort', giveUp)
      try {
        await turn.promise
        return leave
      } finally {
        signal.removeEventListener('abort', giveUp)
      }
    },
  }
}
