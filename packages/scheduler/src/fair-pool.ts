/** A bound to work that is done at one time, in all and for one owner. */
export interface FairPool {
  /** Does the work when it is this owner's turn; owners take turns. Rejects with the signal's reason where that is aborted before. */
  run<T>(owner: string, work: () => Promise<T>, options: { readonly signal: AbortSignal }): Promise<T>
}

export const createFairPool = ({ atOnce, ofOne }: { readonly atOnce: number; readonly ofOne: number }): FairPool => {
  /** In the order of their turns. */
  const waiting = new Map<string, Set<() => void>>()
  const running = new Map<string, number>()
  let all = 0

  const enter = (owner: string): void => {
    all++
    running.set(owner, (running.get(owner) ?? 0) + 1)
  }
  const leave = (owner: string): void => {
    all--
    const left = (running.get(owner) ?? 0) - 1
    if (left > 0) running.set(owner, left)
    else running.delete(owner)
    for (let next = nextOf(); next !== undefined; next = nextOf()) next()
  }
  const hasRoom = (owner: string): boolean => all < atOnce && (running.get(owner) ?? 0) < ofOne

  const nextOf = (): (() => void) | undefined => {
    if (all >= atOnce) return undefined
    // Few are passed over: only those that have all of their own share.
    for (const [owner, those] of waiting) {
      if (!hasRoom(owner)) continue
      const [go] = those
      waiting.delete(owner)
      if (go === undefined) continue
      those.delete(go)
      if (those.size > 0) waiting.set(owner, those)
      enter(owner)
      return go
    }
    return undefined
  }

  const turn = async (owner: string, signal: AbortSignal): Promise<void> => {
    if (!waiting.has(owner) && hasRoom(owner)) {
      enter(owner)
      return
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const those = waiting.get(owner) ?? new Set()
    waiting.set(owner, those.add(resolve))
    const abort = (): void => {
      if (!those.delete(resolve)) return
      if (those.size === 0 && waiting.get(owner) === those) waiting.delete(owner)
      reject(signal.reason)
    }
    signal.addEventListener('abort', abort, { once: true })
    try {
      await promise
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  return {
    run: async (owner, work, { signal }) => {
      signal.throwIfAborted()
      await turn(owner, signal)
      try {
        return await work()
      } finally {
        leave(owner)
      }
    },
  }
}
