import type { Clock } from './index.ts'

/** A clock that moves only when told: for simulations and tests. */
export interface VirtualClock extends Clock {
  /** Moves by `milliseconds`, running what becomes due on the way, in order of time and then of scheduling. */
  advance(milliseconds: number): Promise<void>
  /** Runs what is scheduled, moving the clock, until nothing is, or `until` has come. */
  run(until?: number): Promise<void>
  /** How many events are scheduled. */
  readonly pending: number
}

interface Entry {
  readonly time: number
  readonly order: number
  readonly run: () => void
  gone: boolean
}

/** `start`: milliseconds since the Unix epoch. */
export const virtualClock = ({ start = 0 }: { readonly start?: number } = {}): VirtualClock => {
  const heap: Entry[] = []
  let now = start
  let order = 0
  let live = 0

  const before = (one: Entry, other: Entry): boolean => one.time < other.time || (one.time === other.time && one.order < other.order)
  const swap = (one: number, other: number): void => {
    const [a, b] = [heap[one], heap[other]]
    if (a && b) [heap[one], heap[other]] = [b, a]
  }
  const isBefore = (one: number, other: number): boolean => {
    const [a, b] = [heap[one], heap[other]]
    return a !== undefined && b !== undefined && before(a, b)
  }
  const push = (entry: Entry): void => {
    heap.push(entry)
    for (let at = heap.length - 1; at > 0; ) {
      const parent = (at - 1) >> 1
      if (!isBefore(at, parent)) break
      swap(at, parent)
      at = parent
    }
  }
  const pop = (): void => {
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    heap[0] = last
    for (let at = 0; ; ) {
      const [left, right] = [2 * at + 1, 2 * at + 2]
      const least = isBefore(right, left) ? right : left
      if (!isBefore(least, at)) break
      swap(at, least)
      at = least
    }
  }
  const next = (): Entry | undefined => {
    while (heap[0]?.gone) pop()
    return heap[0]
  }

  /** Everything that promises still have to do at this instant happens before the clock moves on. */
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

  const run = async (until = Infinity): Promise<void> => {
    await settle()
    for (let entry = next(); entry !== undefined && entry.time <= until; entry = next()) {
      now = Math.max(now, entry.time)
      // All of one instant in one go, in order; what they schedule for this instant comes in the next.
      for (const instant = now, scheduled = order; entry !== undefined && entry.time <= instant && entry.order < scheduled; entry = next()) {
        pop()
        live--
        entry.gone = true
        entry.run()
      }
      await settle()
    }
    if (until !== Infinity) now = Math.max(now, until)
  }

  return {
    now: () => now,
    at: (time, action) => {
      const entry: Entry = { time: Math.max(time, now), order: order++, run: action, gone: false }
      live++
      push(entry)
      return {
        [Symbol.dispose]: () => {
          if (!entry.gone) live--
          entry.gone = true
        },
      }
    },
    advance: (milliseconds) => run(now + milliseconds),
    run,
    get pending() {
      return live
    },
  }
}
