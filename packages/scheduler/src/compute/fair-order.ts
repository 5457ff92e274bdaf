import { forgetOldest } from '../forget-oldest.ts'

/** One of those that compete. `tag`: the service it has had, by its weight. Ties are broken by who came first, so that equals take turns. */
interface Entry<Member> {
  readonly key: string
  readonly member: Member
  tag: number
  order: number
}

/**
 * Those who wait for a share of the same thing, least served first: start-time fair queueing (Goyal, Vin, Cheng, 1996). It is deficit round robin with the deficit kept as the
 * service that each has had: the same bound, no rounds to wait through, and it does not matter in which order things really fit. Who comes to wait starts level with the least
 * served of those that wait; who leaves keeps what it had in excess for as long as others go on waiting.
 */
export interface FairOrder<Member> {
  readonly size: number
  get(key: string): Member | undefined
  join(key: string, member: Member): void
  leave(key: string): void
  /** It was served this much, whether it waits or not; nobody is charged for what nobody else waits for. */
  charge(key: string, amount: number): void
  /** Least served first. */
  inOrder(): Iterable<Member>
  clear(): void
}

/** Of how many that do not wait the excess is remembered; who is forgotten gains at most that. */
const remembered = 1024

export const createFairOrder = <Member>(): FairOrder<Member> => {
  const waiting = new Map<string, Entry<Member>>()
  const sorted: Entry<Member>[] = []
  const excess = new Map<string, number>()
  let level = 0
  let orders = 0

  const isBefore = (one: Entry<Member>, other: Entry<Member>): boolean => one.tag < other.tag || (one.tag === other.tag && one.order < other.order)

  const placeOf = (entry: Entry<Member>): number => {
    let [low, high] = [0, sorted.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      const there = sorted[middle]
      if (there !== undefined && isBefore(there, entry)) low = middle + 1
      else high = middle
    }
    return low
  }

  const raise = (): number => {
    level = Math.max(level, sorted[0]?.tag ?? 0)
    return level
  }

  const remember = (key: string, tag: number): void => {
    excess.delete(key)
    if (tag <= raise()) return
    excess.set(key, tag)
    forgetOldest(excess, remembered)
  }

  return {
    get size() {
      return sorted.length
    },
    get: (key) => waiting.get(key)?.member,
    join: (key, member) => {
      if (waiting.has(key)) return
      const entry = { key, member, tag: Math.max(raise(), excess.get(key) ?? 0), order: orders++ }
      excess.delete(key)
      waiting.set(key, entry)
      sorted.splice(placeOf(entry), 0, entry)
    },
    leave: (key) => {
      const entry = waiting.get(key)
      if (entry === undefined) return
      raise()
      waiting.delete(key)
      sorted.splice(placeOf(entry), 1)
      // With nobody waiting there is nothing to be fair about: the next to come are level.
      if (sorted.length === 0) excess.clear()
      else remember(key, entry.tag)
    },
    charge: (key, amount) => {
      if (sorted.length === 0) return
      const entry = waiting.get(key)
      if (entry === undefined) {
        remember(key, Math.max(raise(), excess.get(key) ?? 0) + amount)
        return
      }
      sorted.splice(placeOf(entry), 1)
      entry.tag += amount
      entry.order = orders++
      sorted.splice(placeOf(entry), 0, entry)
    },
    inOrder: function* () {
      for (const { member } of sorted) yield member
    },
    clear: () => {
      waiting.clear()
      sorted.length = 0
      excess.clear()
      level = 0
    },
  }
}
