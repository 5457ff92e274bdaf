import { admit, type Incarnation, ProtocolError } from '@skrei/protocol'
import type { Data, Row, StateStore } from '@skrei/state-store'
import type { Clock } from '@skrei/transport'
import { forgetOldest } from './forget-oldest.ts'
import type { Logger } from './options.ts'

export interface PeersWorld {
  readonly store: StateStore
  readonly clock: Clock
  /** A hint is a quarter of it on its way at most; an execution of an older incarnation that lives on ends by itself before it is over. Milliseconds. */
  readonly lease: number
  readonly logger: Logger
}

/** Who of those that speak with one key is the one to hear (PROTOCOL.md rule 6). */
export interface Peers {
  /**
   * A message of this incarnation is heard: the row that remembers it, where it is new. One of an older incarnation is as well, for its bytes were fixed before its sender
   * restarted (rule 5); unless that incarnation is known to live on.
   *
   * @throws ProtocolError `duplicate-identity`
   */
  message(from: string, seen: Incarnation): Row | undefined
  /** Whether a hint is heard. Hints are not kept and sent again: an old one that comes late shows that two nodes live with one key. */
  hint(from: string, seen: Incarnation): boolean
  /** When this run of the node last heard from it; undefined where that is not remembered. */
  heardAt(from: string): number | undefined
}

interface Known {
  readonly newest: Incarnation
  /** When it was first heard of, by this run of the node. */
  readonly since: number
  /** Until when an older one is held to be alive beside it. */
  readonly twiceUntil: number
  heardAt: number
  /** Until when the store is known to have this one: it is not asked again. */
  readonly durableUntil?: number
}

const mostPeers = 10_000

export const createPeers = ({ store, clock, lease, logger }: PeersWorld): Peers => {
  const peers = new Map<string, Known>()

  const remember = (from: string, known: Known): Known => {
    peers.delete(from)
    peers.set(from, known)
    forgetOldest(peers, mostPeers)
    return known
  }

  const stored = (from: string): Row | undefined => store.read((reader) => reader.get('peer', from))
  const incarnationOf = (row: Row | undefined): Incarnation | undefined => row?.data as unknown as Incarnation | undefined

  const fresh = (newest: Incarnation): Known => ({ newest, since: clock.now(), twiceUntil: Number.NEGATIVE_INFINITY, heardAt: clock.now() })

  /** What is known of a peer, this included. */
  const look = (from: string, seen: Incarnation): Known => {
    const known = peers.get(from)
    const newest = known?.newest ?? incarnationOf(stored(from))
    if (newest === undefined || admit(newest, seen) === 'new') return remember(from, fresh(seen))
    if (known === undefined) return remember(from, fresh(newest))
    known.heardAt = clock.now()
    return known
  }

  /** Two live with this key: said once while it lasts. */
  const twice = (from: string, known: Known, seen: Incarnation): void => {
    if (known.twiceUntil <= clock.now())
      logger.warn('two nodes live with one key: only the one that started last is heard', {
        from,
        code: 'duplicate-identity',
        heard: known.newest.counter,
        refused: seen.counter,
      })
    remember(from, { ...known, twiceUntil: clock.now() + 4 * lease })
  }

  return {
    message: (from, seen) => {
      const known = look(from, seen)
      const admission = admit(known.newest, seen)
      if (admission === 'duplicate-identity' || (admission === 'stale' && known.twiceUntil > clock.now())) {
        twice(from, known, seen)
        throw new ProtocolError(
          'duplicate-identity',
          `another node speaks as ${from}: it started as number ${known.newest.counter}, this one as ${seen.counter}`,
        )
      }
      if (admission === 'same' && (known.durableUntil ?? Number.NEGATIVE_INFINITY) > clock.now()) return undefined
      const row = stored(from)
      const isNew = admit(incarnationOf(row), seen) === 'new'
      if (!isNew && admission === 'same') remember(from, { ...known, durableUntil: clock.now() + lease })
      if (!isNew) return undefined
      return { kind: 'peer', id: from, state: 'known', open: true, version: (row?.version ?? 0) + 1, data: { ...seen, at: clock.now() } as unknown as Data }
    },
    hint: (from, seen) => {
      const known = look(from, seen)
      const admission = admit(known.newest, seen)
      if (admission === 'duplicate-identity' || (admission === 'stale' && clock.now() > known.since + lease / 4)) twice(from, known, seen)
      return admission === 'same'
    },
    heardAt: (from) => peers.get(from)?.heardAt,
  }
}
