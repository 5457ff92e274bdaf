/** Asks that wait, fair by requester: each requester has its turn, its own asks in the order in which they came. Holds ids only; rows are the truth. */
export interface AskQueue {
  readonly size: number
  sizeOf(requester: string): number
  add(requester: string, id: string, at: number): void
  /** `served`: the requester had its turn, the others are next. An ask that was only withdrawn costs no turn. */
  remove(requester: string, id: string, served: boolean): void
  /** In the order in which they are served now. */
  order(): Iterable<string>
  /** The ask that is served next, and since when it waits. */
  head(): { readonly id: string; readonly since: number } | undefined
}

export const createAskQueue = (): AskQueue => {
  // Insertion order of both maps is the order of service.
  const requesters = new Map<string, Map<string, number>>()
  let size = 0
  return {
    get size() {
      return size
    },
    sizeOf: (requester) => requesters.get(requester)?.size ?? 0,
    add: (requester, id, at) => {
      const asks = requesters.get(requester) ?? new Map<string, number>()
      requesters.set(requester, asks)
      if (!asks.has(id)) size++
      asks.set(id, at)
    },
    remove: (requester, id, served) => {
      const asks = requesters.get(requester)
      if (asks === undefined || !asks.delete(id)) return
      size--
      if (served || asks.size === 0) requesters.delete(requester)
      if (served && asks.size > 0) requesters.set(requester, asks)
    },
    order: function* () {
      const lists = [...requesters.values()].map((asks) => asks.keys())
      for (let any = true; any; ) {
        any = false
        for (const list of lists) {
          const next = list.next()
          if (next.done === true) continue
          any = true
          yield next.value
        }
      }
    },
    head: () => {
      const first = requesters.values().next().value?.entries().next().value
      return first && { id: first[0], since: first[1] }
    },
  }
}
