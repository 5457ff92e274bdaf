/** Whose turns are kept apart: whoever has the same one shares its places. */
export type Session = object

export interface TakingTurns {
  /** Resolves once a place is free for this session, with what gives it back: to be called once. */
  next(session: Session, signal: AbortSignal): Promise<() => void>
}

interface TakingTurnsOptions {
  /** Places that each session has for itself, whatever others hold. */
  readonly own: number
  /** Places for whoever wants more: they go round the sessions that wait. */
  readonly shared: number
}

interface Holder {
  readonly session: Session
  /** Of its own places, those that it holds. */
  held: number
  /** In the order in which they came. */
  readonly waiting: Set<(leave: () => void) => void>
}

/** Places that no session can keep from another: those of its own are always there for it. */
export const takingTurns = ({ own, shared }: TakingTurnsOptions): TakingTurns => {
  let free = shared
  const holders = new Map<Session, Holder>()
  /** Those of whom some wait: the next shared place is for the first. */
  const queue = new Set<Holder>()

  const holderOf = (session: Session): Holder => {
    const known = holders.get(session)
    if (known !== undefined) return known
    const holder: Holder = { session, held: 0, waiting: new Set() }
    holders.set(session, holder)
    return holder
  }
  /** A session that holds and wants nothing of its own is forgotten; what it holds of the shared places needs no record. */
  const settle = (holder: Holder): void => {
    if (holder.waiting.size === 0) queue.delete(holder)
    if (holder.waiting.size === 0 && holder.held === 0) holders.delete(holder.session)
  }

  const pass = (holder: Holder, leave: () => void): boolean => {
    const [next] = holder.waiting
    if (next === undefined) return false
    holder.waiting.delete(next)
    settle(holder)
    next(leave)
    return true
  }
  const leaveShared = (): void => {
    const [first] = queue
    if (first === undefined) {
      free += 1
      return
    }
    queue.delete(first)
    queue.add(first)
    pass(first, leaveShared)
  }
  const leaveOwn = (holder: Holder) => (): void => {
    if (pass(holder, leaveOwn(holder))) return
    holder.held -= 1
    settle(holder)
  }

  return {
    next: async (session, signal) => {
      const holder = holderOf(session)
      if (holder.held < own) {
        holder.held += 1
        return leaveOwn(holder)
      }
      if (free > 0) {
        free -= 1
        return leaveShared
      }
      const turn = Promise.withResolvers<() => void>()
      holder.waiting.add(turn.resolve)
      queue.add(holder)
      const giveUp = () => {
        // Not where the turn has come meanwhile: it is passed on by whoever holds it.
        if (!holder.waiting.delete(turn.resolve)) return
        settle(holder)
        turn.reject(signal.reason)
      }
      signal.addEventListener('abort', giveUp)
      try {
        return await turn.promise
      } finally {
        signal.removeEventListener('abort', giveUp)
      }
    },
  }
}
