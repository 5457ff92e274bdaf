import type { Clock } from './index.ts'

// Kept from load time, so that a test runner's fake timers do not stop the clock's own turns.
const macrotask = setImmediate

/**
 * Runs everything that promises have set going, before it resolves: the microtask queue empties between two macrotasks. What waits for the outside world (files,
 * sockets, worker threads, WebCrypto) is not waited for, and makes virtual time depend on real time: keep it out of simulations.
 */
export const drainMicrotasks = (): Promise<void> => new Promise((resolve) => macrotask(resolve))

interface Entry {
  readonly time: number
  readonly order: number
  /** Undefined once it ran or was disposed. */
  run: (() => void) | undefined
}

const before = (a: Entry, b: Entry): boolean => a.time < b.time || (a.time === b.time && a.order < b.order)

/** A binary heap by time, then by order of scheduling. */
const schedule = () => {
  let heap: Entry[] = []
  let dead = 0

  const sink = (start: number): void => {
    const entry = heap[start] as Entry
    let at = start
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1] as Entry, heap[child] as Entry)) child += 1
      if (!before(heap[child] as Entry, entry)) break
      heap[at] = heap[child] as Entry
      at = child
    }
    heap[at] = entry
  }

  const pop = (): void => {
    const last = heap.pop() as Entry
    if (heap.length === 0) return
    heap[0] = last
    sink(0)
  }

  return {
    add(entry: Entry): void {
      let at = heap.push(entry) - 1
      while (at > 0) {
        const parent = (at - 1) >>> 1
        if (!before(entry, heap[parent] as Entry)) break
        heap[at] = heap[parent] as Entry
        at = parent
      }
      heap[at] = entry
    },
    forget(entry: Entry): void {
      if (!entry.run) return
      entry.run = undefined
      dead += 1
      // Most timeouts are disposed long before their time: without this they would fill the heap.
      if (dead > 64 && dead > heap.length / 2) {
        heap = heap.filter(({ run }) => run)
        dead = 0
        for (let at = (heap.length >>> 1) - 1; at >= 0; at -= 1) sink(at)
      }
    },
    peek(): Entry | undefined {
      for (let top = heap[0]; top; top = heap[0]) {
        if (top.run) return top
        dead -= 1
        pop()
      }
      return undefined
    },
    pop,
    live: (): number => heap.length - dead,
  }
}

/** One node's clock in a simulation. */
export interface ClockView extends Clock {
  /** Sets its time of day forward, or back. */
  jump(ms: number): void
}

export interface VirtualClockOptions {
  /** The time it starts at, in milliseconds since the Unix epoch. Default 0. */
  readonly start?: number
}

/**
 * Time that moves only when told to. Events run one at a time, by time and then in the order they were scheduled, and between two events everything that promises have
 * set going runs first. Its methods that move time are asynchronous and must not overlap: a second call before the first has resolved is an error.
 */
export interface VirtualClock extends Clock {
  /** Moves on by `ms` milliseconds, running what becomes due. An error that an event throws is thrown on, with the time left where it happened. */
  advance(ms: number): Promise<void>
  /** The same, to a time. A time that is past is the present. */
  advanceTo(time: number): Promise<void>
  /** Goes to the next event and runs it. False when there is none. */
  next(): Promise<boolean>
  /** Runs events until none is left, and returns how many ran. Throws after `limit` (default one million): something reschedules itself for ever. */
  runUntilIdle(options?: { readonly limit?: number }): Promise<number>
  /** A clock of one node: it runs at a rate of its own (1.1: ten per cent fast; default 1) and can be set wrong, on the same events. */
  view(options?: { readonly rate?: number; readonly offset?: number }): ClockView
  /** How many events wait. */
  readonly waiting: number
  /** When the next one is due. */
  readonly nextAt: number | undefined
}

/**
 * @example
 * const clock = virtualClock()
 * clock.at(1000, () => {})
 * await clock.advance(1000)
 */
export const virtualClock = (options: VirtualClockOptions = {}): VirtualClock => {
  const queue = schedule()
  let now = options.start ?? 0
  let order = 0
  let moving = false

  if (!Number.isFinite(now)) throw new RangeError(`virtualClock: start must be a finite number, not ${now}`)

  const exclusive = async <T>(move: () => Promise<T>): Promise<T> => {
    if (moving) throw new Error('the virtual clock is moving already: await one move before the next')
    moving = true
    try {
      await drainMicrotasks()
      return await move()
    } finally {
      moving = false
    }
  }

  /** Runs the next event if it is due by then. */
  const step = async (until: number): Promise<boolean> => {
    const entry = queue.peek()
    if (!entry || entry.time > until) return false
    queue.pop()
    now = entry.time
    const run = entry.run
    entry.run = undefined
    run?.()
    await drainMicrotasks()
    return true
  }

  const advanceTo = (time: number): Promise<void> =>
    exclusive(async () => {
      if (!Number.isFinite(time)) throw new RangeError(`virtualClock: cannot advance to ${time}`)
      while (await step(time));
      now = Math.max(now, time)
    })

  /** What `soon` was asked to run while nobody moves the clock, in order. */
  let standing: Entry[] = []

  /** One at a time, as events are. Once somebody moves the clock, the rest are events like others. */
  const stand = (): void => {
    if (moving) standing = []
    const entry = standing.shift()
    const run = entry?.run
    if (standing.length > 0) macrotask(stand)
    if (entry === undefined || run === undefined) return
    queue.forget(entry)
    run()
  }

  const soon = (run: () => void): void => {
    order += 1
    const entry: Entry = { time: now, order, run }
    queue.add(entry)
    if (!moving && standing.push(entry) === 1) macrotask(stand)
  }

  const start = now
  const at = (time: number, run: () => void): Disposable => {
    if (Number.isNaN(time)) throw new RangeError('virtualClock: a time must be a number')
    if (time === Infinity) return { [Symbol.dispose]: () => {} }
    order += 1
    const entry: Entry = { time: Math.max(time, now), order, run }
    queue.add(entry)
    return { [Symbol.dispose]: () => queue.forget(entry) }
  }

  return {
    now: () => now,
    elapsed: () => now - start,
    at,
    soon,
    view: ({ rate = 1, offset = 0 } = {}) => {
      if (!(rate > 0 && rate < Infinity)) throw new RangeError(`virtualClock: a rate must be more than 0, not ${rate}`)
      const from = now
      let set = now + offset
      const elapsed = (): number => (now - from) * rate
      return {
        // Whole milliseconds, as of a real one.
        now: () => Math.floor(set + elapsed()),
        elapsed,
        // A thousandth more than enough: fractions of a time this large are rounded.
        at: (time, run) => at(now + (time - set - elapsed()) / rate + (Number.isInteger(time) && rate === 1 && Number.isInteger(now) ? 0 : 1e-3), run),
        soon,
        jump: (ms) => {
          set += ms
        },
      }
    },
    advance: (ms) => advanceTo(now + ms),
    advanceTo,
    next: () => exclusive(() => step(Infinity)),
    runUntilIdle: ({ limit = 1_000_000 } = {}) =>
      exclusive(async () => {
        let count = 0
        while (await step(Infinity)) {
          count += 1
          if (count >= limit && queue.peek()) throw new Error(`virtualClock: still not idle after ${limit} events`)
        }
        return count
      }),
    get waiting() {
      return queue.live()
    },
    get nextAt() {
      return queue.peek()?.time
    },
  }
}
