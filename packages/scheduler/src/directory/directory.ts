import type { Announcement } from '@skrei/protocol'
import type { Clock } from '@skrei/transport'
import type { NodeOffer } from './fit.ts'
import { createPool, type Pool } from './pool.ts'

/** How an announcement came here. */
export interface Heard {
  /** As its node signed them: what is passed on. */
  readonly bytes: Uint8Array
  /** The peer that gave it in an answer; the node itself = at first hand. Absent: by gossip, from anybody. */
  readonly via?: string
}

/** A node as this one knows it. The object is the same for as long as what the node offers is. */
export interface KnownNode {
  readonly node: string
  readonly offer: NodeOffer
  readonly announcement: Announcement
  /** Absent for what was never signed (this node itself, while nobody asked). */
  readonly bytes: Uint8Array | undefined
}

/**
 * The nodes that this one knows: soft, bounded, never a fact.
 *
 * Who can harm it: one peer that gives made-up nodes has at most `perSource` places at a time, and a full directory gives up a node that it has from its own mouth only for
 * another such. Gossip, whose source is unknown, displaces nobody. Not covered: somebody with many ids to which this node is connected, or who is all that it is connected to (an eclipse):
 * that is for the transport's choice of peers. A made-up node can only waste asks: what it says is never a fact.
 */
export interface Directory {
  readonly size: number
  /** Rises whenever a node comes or goes, or offers something else; not when one is merely renewed. */
  readonly version: number
  /** Keeps the newest of a node: (incarnation, counter). Says whether it is kept. Without `heard` it is this node's own. */
  note(announcement: Announcement, heard?: Heard): boolean
  all(): readonly Announcement[]
  get(node: string): KnownNode | undefined
  known(): Iterable<KnownNode>
  /** How many are known that have this engine. */
  count(engine: string): number
  /** At most `count` nodes at random, of those with this engine where one is given. */
  sample(count: number, engine?: string): readonly KnownNode[]
}

/** DESIGN.md law 4. */
export const directoryBound = 512
/** Of all together: an announcement may have 64 KiB, 512 of them should not have 32 MiB. */
const mostBytes = 8 * 2 ** 20
/** How many nodes one peer may have brought in that are not itself. */
export const perSource = 64
const longestTtl = 300_000
/** At second hand an announcement may be older than its ttl by this, for the sake of clocks that differ; so what is passed around dies out. */
const hearsayGrace = 60_000
/** Between two looks for what has run out. */
const sweepEvery = 1000
/** How many places are looked at for one that may be taken. */
const evictionLooks = 8

interface Entry extends KnownNode {
  announcement: Announcement
  bytes: Uint8Array | undefined
  via: string | undefined
  until: number
}

export const createDirectory = ({ clock, random }: { readonly clock: Clock; readonly random: () => number }): Directory => {
  const entries = new Map<string, Entry>()
  const pool = createPool<Entry>(random)
  const byEngine = new Map<string, Pool<Entry>>()
  const broughtBy = new Map<string, Set<Entry>>()
  let bytes = 0
  let version = 0
  let earliest = Number.POSITIVE_INFINITY
  let sweptAt = Number.NEGATIVE_INFINITY

  const isHearsay = ({ node, via, bytes: signed }: Entry): boolean => signed !== undefined && via !== node

  const link = (entry: Entry): void => {
    entries.set(entry.node, entry)
    pool.add(entry)
    for (const engine of entry.offer.engines) {
      const those = byEngine.get(engine) ?? createPool<Entry>(random)
      byEngine.set(engine, those)
      those.add(entry)
    }
    version++
  }

  const unlink = (entry: Entry): void => {
    entries.delete(entry.node)
    pool.delete(entry)
    for (const engine of entry.offer.engines) {
      const those = byEngine.get(engine)
      those?.delete(entry)
      if (those?.size === 0) byEngine.delete(engine)
    }
    version++
  }

  /** What can change while a node stays the same: the rest is its `offer`. */
  const setSoft = (entry: Entry, announcement: Announcement, signed: Uint8Array | undefined, via: string | undefined, until: number): void => {
    clearSoft(entry)
    Object.assign(entry, { announcement, bytes: signed, via, until })
    bytes += signed?.length ?? 0
    earliest = Math.min(earliest, until)
    if (entry.via === undefined || entry.via === entry.node) return
    const brought = broughtBy.get(entry.via)
    if (brought) brought.add(entry)
    else broughtBy.set(entry.via, new Set([entry]))
  }

  const clearSoft = (entry: Entry): void => {
    bytes -= entry.bytes?.length ?? 0
    if (entry.via === undefined) return
    const brought = broughtBy.get(entry.via)
    brought?.delete(entry)
    if (brought?.size === 0) broughtBy.delete(entry.via)
  }

  const forget = (entry: Entry): void => {
    clearSoft(entry)
    unlink(entry)
  }

  const sweep = (): void => {
    const now = clock.now()
    if (now < earliest || now < sweptAt + sweepEvery) return
    sweptAt = now
    earliest = Number.POSITIVE_INFINITY
    for (const entry of entries.values()) {
      if (entry.until <= now) forget(entry)
      else earliest = Math.min(earliest, entry.until)
    }
  }

  /** Makes room for a newcomer, or says that there is none for one that came this way. */
  const makeRoom = (node: string, heard: Heard | undefined): boolean => {
    const brought = heard?.via === undefined || heard.via === node ? undefined : broughtBy.get(heard.via)
    if (brought !== undefined && brought.size >= perSource) {
      for (const oldest of brought) {
        forget(oldest)
        return true
      }
    }
    if (entries.size < directoryBound) return true
    if (heard !== undefined && heard.via === undefined) return false
    const [victim] = pool.draw(1, evictionLooks, isHearsay)
    if (victim !== undefined) {
      forget(victim)
      return true
    }
    if (heard !== undefined && heard.via !== node) return false
    const [other] = pool.draw(1, evictionLooks, ({ bytes: signed }) => signed !== undefined)
    if (other !== undefined) forget(other)
    return true
  }

  const isLive = (entry: Entry): boolean => entry.until > clock.now()

  const untilOf = (announcement: Announcement, heard: Heard | undefined): number => {
    const ttl = Math.min(announcement.ttl, longestTtl)
    const until = clock.now() + ttl
    const atFirstHand = heard?.via === undefined || heard.via === announcement.node
    return atFirstHand ? until : Math.min(until, announcement.issuedAt + ttl + hearsayGrace)
  }

  return {
    get size() {
      sweep()
      return entries.size
    },
    get version() {
      sweep()
      return version
    },
    note: (announcement, heard) => {
      sweep()
      const until = untilOf(announcement, heard)
      const before = entries.get(announcement.node)
      if (until <= clock.now() || (before !== undefined && !isNewer(announcement, before.announcement))) return false
      // Who brought it first answers for its place: else a peer could take over what others brought by renewing it, and then give it up for its own.
      const via = before === undefined || heard?.via === announcement.node ? heard?.via : before.via
      const offer = offerOf(announcement)
      if (before !== undefined && JSON.stringify(before.offer) === JSON.stringify(offer)) {
        setSoft(before, announcement, heard?.bytes, via, until)
      } else {
        if (before !== undefined) forget(before)
        else if (!makeRoom(announcement.node, heard)) return false
        const entry: Entry = { node: announcement.node, offer, announcement, bytes: undefined, via: undefined, until }
        link(entry)
        setSoft(entry, announcement, heard?.bytes, via, until)
      }
      while (bytes > mostBytes) {
        const [victim] = pool.draw(1, directoryBound, ({ bytes: signed }) => signed !== undefined)
        if (victim === undefined) break
        forget(victim)
      }
      return entries.has(announcement.node)
    },
    all: () => [...entries.values()].filter(isLive).map(({ announcement }) => announcement),
    get: (node) => {
      const entry = entries.get(node)
      return entry !== undefined && isLive(entry) ? entry : undefined
    },
    known: () => {
      sweep()
      return entries.values()
    },
    count: (engine) => {
      sweep()
      return byEngine.get(engine)?.size ?? 0
    },
    sample: (count, engine) => {
      sweep()
      return (engine === undefined ? pool : byEngine.get(engine))?.draw(count, 2 * count, isLive) ?? []
    },
  }
}

/** What stays the same as long as a node is configured as it is. */
const offerOf = ({ engines, sources, publishers, capacity, devices, labels }: Announcement): NodeOffer => ({
  engines: [...new Set(engines.map(({ name }) => name))],
  sources,
  publishers,
  capacity,
  devices,
  labels,
})

const isNewer = (one: Announcement, other: Announcement): boolean =>
  one.incarnation.counter > other.incarnation.counter || (one.incarnation.counter === other.incarnation.counter && one.counter > other.counter)
