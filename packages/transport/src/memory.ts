import type { Clock, Transport } from './index.ts'
import { type Endpoint, memoryEndpoint, type Wire } from './memory-endpoint.ts'
import { type Faults, type Link, type LinkFaults, memoryLink, resolveFaults } from './memory-link.ts'
import type { NetworkCounters, PacketFate, PacketRecord } from './memory-packet.ts'
import { seededRandom } from './random.ts'

export type { LinkFaults } from './memory-link.ts'
export type { NetworkCounters, PacketFate, PacketRecord, PacketType } from './memory-packet.ts'
export { type ClockView, drainMicrotasks, type VirtualClock, type VirtualClockOptions, virtualClock } from './virtual-clock.ts'

export interface MemoryNetworkOptions extends LinkFaults {
  /** The one clock of the simulation, or `systemClock()` for a node that talks to itself. */
  readonly clock: Clock
  /** Same seed, same calls, same clock: the same packets to the byte. */
  readonly seed: number | string
  /** When a send without an answer, or a query that lost a packet, fails as `unreachable`, in milliseconds. Default 10,000. */
  readonly timeout?: number
  /** The most bytes one send, hint, query, chunk or publication may hold; more is `too-large`. Default 16 MiB. */
  readonly maxBytes?: number
  /** Sees the fate of every packet. */
  readonly observe?: (packet: PacketRecord) => void
  /** Sees what a handler threw: the network goes on. A failed `receive` or `serve` is also told to the peer, as `refused`. */
  readonly onFault?: (error: unknown, node: string, handler: 'receive' | 'hint' | 'serve') => void
}

export interface MemoryNetwork {
  /** A transport for this id, to be started. An id that crashed or was disposed may join again: a restart. One that is live may not. */
  join(id: string): Transport
  /**
   * Stops a node as a power cut would: what is on its way to or from it vanishes, its handlers are gone, its promises never settle, peers hear nothing and time out.
   * Its old transport does nothing any more.
   */
  crash(id: string): void
  /** Splits the network: nodes of different groups no longer reach each other. Those in no group form one more. Replaces an earlier partition. */
  partition(groups: readonly (readonly string[])[]): void
  /** Cuts one direction, until disposed or healed. */
  block(from: string, to: string): Disposable
  /** Ends the partition and every block. */
  heal(): void
  /** Changes what all links between two nodes do from now on; what is left out stays. What a node sends to itself meets no fault that `link` does not set. */
  configure(faults: LinkFaults): void
  /** Changes what one direction does from now on, over what all links do; undefined takes that back. */
  link(from: string, to: string, faults: LinkFaults | undefined): void
  /** A copy of the counters: of what one node sent, over all its restarts, or of all. */
  counters(id?: string): NetworkCounters
}

const emptyCounters = (): NetworkCounters => ({
  sends: 0,
  messages: 0,
  hints: 0,
  queries: 0,
  publications: 0,
  packets: 0,
  bytes: 0,
  delivered: 0,
  lost: 0,
  cut: 0,
  vanished: 0,
  duplicated: 0,
})

/**
 * A simulated network in one process. With no latency a packet takes one microtask; otherwise it waits on the given clock. Payloads are copied on the way in, so that
 * nodes share no memory.
 *
 * @example
 * const network = memoryNetwork({ clock: virtualClock(), seed: 1, latency: 20, jitter: 5, loss: 0.01 })
 * const a = network.join('a')
 */
export const memoryNetwork = (options: MemoryNetworkOptions): MemoryNetwork => {
  const { clock, seed, timeout = 10_000, maxBytes = 16 * 1024 * 1024, observe, onFault } = options
  if (!(timeout > 0)) throw new RangeError(`memoryNetwork: timeout must be more than 0, not ${timeout}`)
  let faults = resolveFaults(options)
  const overrides = new Map<string, Map<string, LinkFaults>>()
  const resolved = new Map<string, Map<string, Faults>>()
  const links = new Map<string, Map<string, Link>>()
  const endpoints = new Map<string, Endpoint>()
  /** Their ids, so that some can be taken without a look at the rest. */
  const ids: string[] = []
  const counted = new Map<string, NetworkCounters>()
  const blocked = new Map<string, Map<string, Set<object>>>()
  let groups: Map<string, number> | undefined

  const within = <V>(map: Map<string, Map<string, V>>, from: string, to: string, make: () => V): V => {
    let inner = map.get(from)
    if (!inner) {
      inner = new Map()
      map.set(from, inner)
    }
    let value = inner.get(to)
    if (value === undefined) {
      value = make()
      inner.set(to, value)
    }
    return value
  }

  const isCut = (from: string, to: string): boolean => {
    if (groups && from !== to && groups.get(from) !== groups.get(to)) return true
    return blocked.size > 0 && (blocked.get(from)?.get(to)?.size ?? 0) > 0
  }

  const countersOf = (id: string): NetworkCounters => {
    let counters = counted.get(id)
    if (!counters) {
      counters = emptyCounters()
      counted.set(id, counters)
    }
    return counters
  }

  // All waits for an answer are equally long, so the first to start is the first to end, and one timer serves them all.
  const expiries = new Map<number, { readonly at: number; readonly run: () => void }>()
  let expiryCount = 0
  let expiryTimer: Disposable | undefined

  const armExpiry = (): void => {
    for (const { at } of expiries.values()) {
      expiryTimer = clock.at(at, () => {
        expiryTimer = undefined
        const now = clock.now()
        for (const [key, expiry] of expiries) {
          if (expiry.at > now) break
          expiries.delete(key)
          expiry.run()
        }
        if (!expiryTimer) armExpiry()
      })
      break
    }
  }

  /** Others than this one, each at most once, all equally likely: Floyd's algorithm (Bentley, Programming Pearls, CACM 30(9), 1987). */
  const drawn = (self: string, count: number, random: () => number): Endpoint[] => {
    const others = ids.length - 1
    const places = new Set<number>()
    for (let last = others - count; last < others; last++) {
      const place = Math.floor(random() * (last + 1))
      places.add(places.has(place) ? last : place)
    }
    // The last one stands for this one: in its place where that was drawn.
    return [...places].flatMap((place) => endpoints.get((ids[place] === self ? ids[others] : ids[place]) ?? '') ?? [])
  }

  const wire: Wire = {
    clock,
    maxBytes,
    fault: (error, node, handler) => onFault?.(error, node, handler),
    countersOf,
    find: (id) => endpoints.get(id),
    all: () => endpoints.values(),
    count: () => ids.length,
    some: (self, count, random) => (count >= ids.length - 1 ? endpoints.values() : drawn(self, count, random)),
    randomFor: (id) => seededRandom(`${seed}\0${id}`),
    isCut,
    faultsOf: (from, to) => within(resolved, from, to, () => resolveFaults(overrides.get(from)?.get(to) ?? {}, from === to ? undefined : faults)),
    expire(run) {
      expiryCount += 1
      const key = expiryCount
      expiries.set(key, { at: clock.now() + timeout, run })
      if (!expiryTimer) armExpiry()
      return () => {
        if (!expiries.delete(key) || expiries.size > 0) return
        expiryTimer?.[Symbol.dispose]()
        expiryTimer = undefined
      }
    },
    carry(from, to, type, bytes, arrive, lost) {
      const counters = countersOf(from.self)
      const ended = (fate: PacketFate): void => {
        counters[fate] += 1
        observe?.({ at: clock.now(), from: from.self, to: to.self, type, bytes, fate })
        if (fate !== 'delivered') lost?.()
      }
      counters.packets += 1
      counters.bytes += bytes
      if (isCut(from.self, to.self)) {
        ended('cut')
        return
      }
      const link = within(links, from.self, to.self, () => memoryLink(clock, seededRandom(`${seed}\0${from.self}\0${to.self}`)))
      const result = link.carry(wire.faultsOf(from.self, to.self), (again) => {
        if (isCut(from.self, to.self)) return ended('cut')
        if (from.state === 'crashed' || to.state === 'crashed') return ended('vanished')
        ended('delivered')
        arrive(again)
      })
      if (result === 'lost') ended('lost')
      if (result === 'twice') counters.duplicated += 1
    },
  }

  return {
    join(id) {
      const present = endpoints.get(id)
      if (present && present.state !== 'crashed' && present.state !== 'closed')
        throw new Error(`memoryNetwork: ${id} has joined already; crash or dispose it first`)
      const endpoint = memoryEndpoint(id, wire)
      if (!present) ids.push(id)
      endpoints.set(id, endpoint)
      return endpoint.transport
    },
    crash(id) {
      const endpoint = endpoints.get(id)
      if (!endpoint) throw new Error(`memoryNetwork: ${id} has never joined`)
      endpoint.crash()
    },
    partition(parts) {
      const next = new Map<string, number>()
      parts.forEach((part, index) => {
        for (const id of part) {
          if (next.has(id)) throw new Error(`memoryNetwork: ${id} is in two groups`)
          next.set(id, index)
        }
      })
      groups = next
    },
    block(from, to) {
      const block = {}
      within(blocked, from, to, () => new Set<object>()).add(block)
      return { [Symbol.dispose]: () => void blocked.get(from)?.get(to)?.delete(block) }
    },
    heal() {
      groups = undefined
      blocked.clear()
    },
    configure(next) {
      faults = resolveFaults(next, faults)
      resolved.clear()
    },
    link(from, to, own) {
      if (own) {
        resolveFaults(own)
        within(overrides, from, to, () => own)
        overrides.get(from)?.set(to, own)
      } else {
        overrides.get(from)?.delete(to)
      }
      resolved.get(from)?.delete(to)
    },
    counters(id) {
      if (id !== undefined) return { ...(counted.get(id) ?? emptyCounters()) }
      const total = emptyCounters()
      for (const counters of counted.values()) for (const name of Object.keys(total) as (keyof NetworkCounters)[]) total[name] += counters[name]
      return total
    },
  }
}
