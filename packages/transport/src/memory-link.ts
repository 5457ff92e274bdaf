import type { Clock } from './index.ts'

/** What one direction between two nodes does to what travels on it. Times in milliseconds, probabilities from 0 to 1, per packet. All default to 0. */
export interface LinkFaults {
  /** How long a packet takes at least. */
  readonly latency?: number
  /** Up to this much more, drawn evenly. */
  readonly jitter?: number
  /** How likely a packet never arrives. */
  readonly loss?: number
  /** How likely it arrives twice. */
  readonly duplication?: number
  /** How likely it leaves the order of sending: it takes up to `latency + jitter + 1` ms longer, and those after it do not wait. Otherwise order is kept. */
  readonly reordering?: number
}

export type Faults = Required<LinkFaults>

export const resolveFaults = (faults: LinkFaults, base?: Faults): Faults => {
  const resolved = { latency: 0, jitter: 0, loss: 0, duplication: 0, reordering: 0, ...base }
  for (const name of ['latency', 'jitter', 'loss', 'duplication', 'reordering'] as const) {
    const value = faults[name]
    if (value === undefined) continue
    const limit = name === 'latency' || name === 'jitter' ? Number.MAX_VALUE : 1
    if (!(value >= 0 && value <= limit)) throw new RangeError(`memoryNetwork: ${name} must be ${limit === 1 ? 'from 0 to 1' : '0 or more'}, not ${value}`)
    resolved[name] = value
  }
  return Object.freeze(resolved)
}

/** One direction between two nodes, with its own random numbers: what happens elsewhere changes nothing here. */
export interface Link {
  /** Runs `arrive` at each arrival: never, once or twice, never before this has returned. */
  carry(faults: Faults, arrive: (again: boolean) => void): 'lost' | 'once' | 'twice'
}

export const memoryLink = (clock: Clock, random: () => number): Link => {
  /** When the last packet that keeps the order arrives. */
  let horizon = -Infinity
  /** How many of those wait on the clock: one that needs no time must not overtake them. */
  let waiting = 0

  const deliver = (faults: Faults, run: () => void): void => {
    const now = clock.now()
    let at = now + faults.latency
    if (faults.jitter > 0) at += random() * faults.jitter
    if (faults.reordering > 0 && random() < faults.reordering) {
      clock.at(at + random() * (faults.latency + faults.jitter + 1), run)
      return
    }
    if (at < horizon) at = horizon
    else horizon = at
    if (at <= now && waiting === 0) {
      queueMicrotask(run)
      return
    }
    waiting += 1
    clock.at(at, () => {
      waiting -= 1
      run()
    })
  }

  return {
    carry(faults, arrive) {
      if (faults.loss > 0 && random() < faults.loss) return 'lost'
      deliver(faults, () => arrive(false))
      if (faults.duplication === 0 || random() >= faults.duplication) return 'once'
      deliver(faults, () => arrive(true))
      return 'twice'
    },
  }
}
