/** A set from which a member is drawn at random in constant time. */
export interface Pool<T> {
  readonly size: number
  has(member: T): boolean
  add(member: T): void
  delete(member: T): void
  /** Any one of them. */
  any(): T | undefined
  /** Members at random, none twice, at most `count` of those that `accept` takes; looks at `looks` members at most. */
  draw(count: number, looks: number, accept: (member: T) => boolean): T[]
  [Symbol.iterator](): Iterator<T>
}

export const createPool = <T>(random: () => number, from: Iterable<T> = []): Pool<T> => {
  const members: T[] = [...from]
  const places = new Map(members.map((member, place) => [member, place]))

  /** Puts a member elsewhere: the order has no meaning. */
  const swap = (one: number, other: number): void => {
    const [a, b] = [members[one] as T, members[other] as T]
    members[one] = b
    members[other] = a
    places.set(b, one).set(a, other)
  }

  return {
    get size() {
      return members.length
    },
    has: (member) => places.has(member),
    add: (member) => {
      if (!places.has(member)) places.set(member, members.push(member) - 1)
    },
    delete: (member) => {
      const place = places.get(member)
      if (place === undefined) return
      swap(place, members.length - 1)
      members.pop()
      places.delete(member)
    },
    any: () => members[Math.floor(random() * members.length)],
    draw: (count, looks, accept) => {
      const drawn: T[] = []
      // A Fisher-Yates shuffle in place that stops when enough are found.
      for (let last = members.length - 1, left = looks; last >= 0 && left > 0 && drawn.length < count; last--, left--) {
        swap(Math.floor(random() * (last + 1)), last)
        const member = members[last] as T
        if (accept(member)) drawn.push(member)
      }
      return drawn
    },
    [Symbol.iterator]: () => members[Symbol.iterator](),
  }
}
