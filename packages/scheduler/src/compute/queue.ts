/** Asks that wait, fair by requester: each requester has its turn, its own asks in the order in which they came. Holds ids only; rows are the truth. */
export interface AskQueue {
  readonly size: number
  add(requester: string, id: string, at: number): void
  remove(requester: string, id: string): void
  /** In the order in which they are served now. */
  order(limit: number): readonly string[]
  /** When the ask that is served next began to wait. */
  headSince(): number | undefined
}

export const createAskQueue = (): AskQueue => {
  // Insertion order of both maps is the order of service; a requester that was served goes to the end.
  const requesters = new Map<string, Map<string, number>>()
  let size = 0
  return {
    get size() {
      return size
    },
    add: (requester, id, at) => {
      const asks = requesters.get(requester) ?? new Map<string, number>()
      requesters.set(requester, asks)
      if (!asks.has(id)) size++
      asks.set(id, at)
    },
    remove: (requester, id) => {
      const asks = requesters.get(requester)
      if (asks === undefined || !asks.delete(id)) return
      size--
      requesters.delete(requester)
      if (asks.size > 0) requesters.set(requester, asks)
    },
    order: (limit) => {
      const lists = [...requesters.values()].map((asks) => asks.keys())
      const ids: string[] = []
      while (ids.length < limit) {
        let any = false
        for (const list of lists) {
          const next = list.next()
          if (next.done === true || ids.length >= limit) continue
          any = true
          ids.push(next.value)
        }
        if (!any) break
      }
      return ids
    },
    headSince: () => requesters.values().next().value?.values().next().value,
  }
}
