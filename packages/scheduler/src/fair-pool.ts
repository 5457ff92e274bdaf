/** Assessments that run at one time: in all, and of one requester. */
const atOnce = 32
const ofOne = 8

export interface AssessPool {
  /** Does the work when it is this requester's turn; requesters take turns. Rejects with the signal's reason where that is aborted before. */
  run<T>(requester: string, work: () => Promise<T>, options: { readonly signal: AbortSignal }): Promise<T>
}

/** However many asks come, only so many are looked into at a time: what an assessment asks of sources and engines is work for a stranger. */
export const createAssessPool = (): AssessPool => {
  /** In the order of their turns. */
  const waiting = new Map<string, Set<() => void>>()
  const running = new Map<string, number>()
  let all = 0

  const enter = (requester: string): void => {
    all++
    running.set(requester, (running.get(requester) ?? 0) + 1)
  }
  const leave = (requester: string): void => {
    all--
    const left = (running.get(requester) ?? 0) - 1
    if (left > 0) running.set(requester, left)
    else running.delete(requester)
    for (let next = nextOf(); next !== undefined; next = nextOf()) next()
  }
  const hasRoom = (requester: string): boolean => all < atOnce && (running.get(requester) ?? 0) < ofOne

  const nextOf = (): (() => void) | undefined => {
    if (all >= atOnce) return undefined
    // Few are passed over: only those that have all of their own share.
    for (const [requester, those] of waiting) {
      if (!hasRoom(requester)) continue
      const [go] = those
      waiting.delete(requester)
      if (go === undefined) continue
      those.delete(go)
      if (those.size > 0) waiting.set(requester, those)
      enter(requester)
      return go
    }
    return undefined
  }

  const turn = async (requester: string, signal: AbortSignal): Promise<void> => {
    if (!waiting.has(requester) && hasRoom(requester)) {
      enter(requester)
      return
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const those = waiting.get(requester) ?? new Set()
    waiting.set(requester, those.add(resolve))
    const abort = (): void => {
      if (!those.delete(resolve)) return
      if (those.size === 0 && waiting.get(requester) === those) waiting.delete(requester)
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
    run: async (requester, work, { signal }) => {
      signal.throwIfAborted()
      await turn(requester, signal)
      try {
        return await work()
      } finally {
        leave(requester)
      }
    },
  }
}
