import { maxSampleSize, ProtocolError } from '@skrei/protocol'
import type { Transport } from '@skrei/transport'
import { askSample } from './ask-sample.ts'
import { directoryBound } from './directory.ts'
import { type HearWorld, hear } from './hear.ts'
import { createPool } from './pool.ts'

export interface SamplerWorld extends HearWorld {
  readonly random: () => number
  readonly transport: Transport
  /** How long a peer may take to answer; milliseconds. */
  readonly patience: number
  /** With fewer nodes of an engine than this, a requester that has work for it looks for more. */
  readonly target: number
  /** How long what was found out holds; milliseconds. */
  readonly ttl: number
  /** Whether nodes announce themselves to all: then only an urgent need is a reason to ask. */
  readonly gossips: () => boolean
  readonly report: (error: unknown) => void
}

/** Fills the directory by asking random peers for what they hold. It asks nobody while nobody needs nodes: a node that only computes spends nothing. */
export interface Sampler extends Disposable {
  /** Nodes with this engine are wanted. `urgent`: there was nobody to ask, or all said no. Cheap: called for every shard that looks for a node. */
  need(engine: string, urgent: boolean): void
  /** Whether everybody who can be found was asked lately, or as many as a directory holds: looking further would bring little. */
  isSettled(engine: string): boolean
}

interface Need {
  until: number
  urgentUntil: number
  /** Who was asked since it began, or did not answer. */
  readonly asked: Set<string>
  settledAt: number
  /** How many peers there were then: whoever has come since was not asked. */
  settledAmong: number
}

/** How many are asked at once while there is a need… */
const wide = 16
/** …and when everybody was asked, and there are still too few. */
const narrow = 2
/** Between two rounds then, in milliseconds, with a jitter of a half. */
const pace = 250
/** An urgent need ends if it is not repeated. */
const urgency = 5000
/** At how many peers a round looks: of twice as many as are ever asked, half was not asked yet. */
const mostLookedAt = 2 * directoryBound
/** Ids that others named as their peers. */
const mostNamed = 256

export const createSampler = (world: SamplerWorld): Sampler => {
  const { network, self, clock, random, transport, directory, patience, ttl, target } = world
  const needs = new Map<string, Need>()
  const named = createPool<string>(random)
  const stopping = new AbortController()
  let next: Disposable | undefined
  let nextAt = Number.POSITIVE_INFINITY
  let roundAt = Number.NEGATIVE_INFINITY
  let asking = false

  const isSettled = ({ settledAt, settledAmong }: Need): boolean => clock.now() < settledAt + ttl && transport.peerCount() <= settledAmong
  const isWanting = (engine: string, need: Need): boolean => clock.now() < need.urgentUntil || (directory.count(engine) < target && !world.gossips())

  /** A need that has not been heard of for long is none; the one that is not yet settled comes first. */
  const nextNeed = (): readonly [engine: string, need: Need] | undefined => {
    for (const [engine, { until }] of needs) if (until <= clock.now()) needs.delete(engine)
    const wanting = [...needs].filter(([engine, need]) => isWanting(engine, need))
    return wanting.find(([, need]) => !isSettled(need)) ?? wanting[0]
  }

  const schedule = (): void => {
    if (asking || stopping.signal.aborted) return
    const found = nextNeed()
    if (found === undefined) return
    const wait = (isSettled(found[1]) ? ttl / 3 : pace) * (0.5 + random())
    const at = Math.max(clock.now() + random() * (pace / 5), roundAt + wait)
    if (at >= nextAt) return
    next?.[Symbol.dispose]()
    nextAt = at
    next = clock.at(at, () => {
      nextAt = Number.POSITIVE_INFINITY
      asking = true
      void round()
        .catch((error: unknown) => world.report(error))
        .finally(() => {
          asking = false
          schedule()
        })
    })
  }

  const take = (bytes: Uint8Array, via: string): void => {
    try {
      hear(world, bytes, via)
    } catch (error) {
      if (!(error instanceof ProtocolError)) world.report(error)
    }
  }

  const name = (peer: string): void => {
    if (peer === self || named.has(peer)) return
    if (named.size >= mostNamed) {
      const victim = named.any()
      if (victim !== undefined) named.delete(victim)
    }
    named.add(peer)
  }

  const ask = async (engine: string, peer: string): Promise<void> => {
    const head = await askSample(
      { network, clock, transport, patience },
      peer,
      { most: maxSampleSize, engine, about: [] },
      (bytes) => take(bytes, peer),
      stopping,
    )
    if (head === undefined) named.delete(peer)
    else for (const other of head.some) name(other)
  }

  const round = async (): Promise<void> => {
    const found = nextNeed()
    if (found === undefined) return
    roundAt = clock.now()
    const [engine, need] = found
    const settled = isSettled(need)
    // Asked long ago: who was asked then may know more by now.
    if (!settled && need.settledAt > Number.NEGATIVE_INFINITY) {
      need.asked.clear()
      need.settledAt = Number.NEGATIVE_INFINITY
    }
    const peers = createPool(random, new Set([...transport.peers({ limit: mostLookedAt }).flatMap(({ id, connected }) => (connected ? [id] : [])), ...named]))
    const chosen = peers.draw(settled ? narrow : wide, peers.size, (peer) => settled || !need.asked.has(peer))
    await Promise.all(chosen.map((peer) => ask(engine, peer)))
    if (settled) return
    for (const peer of chosen) need.asked.add(peer)
    const isMissing = (peer: string): boolean => !need.asked.has(peer)
    // Where there is nobody yet to ask, nothing is settled: connections are on their way.
    if (peers.size > 0 && (need.asked.size >= directoryBound || ![...peers, ...named].some(isMissing))) {
      need.settledAt = clock.now()
      need.settledAmong = transport.peerCount()
    }
  }

  return {
    need: (engine, urgent) => {
      const now = clock.now()
      const need: Need = needs.get(engine) ?? { until: 0, urgentUntil: 0, asked: new Set(), settledAt: Number.NEGATIVE_INFINITY, settledAmong: 0 }
      needs.set(engine, need)
      need.until = now + ttl
      if (urgent) need.urgentUntil = now + urgency
      if (isWanting(engine, need)) schedule()
    },
    isSettled: (engine) => {
      const need = needs.get(engine)
      return need !== undefined && isSettled(need)
    },
    [Symbol.dispose]: () => {
      stopping.abort(new DOMException('the node is stopping', 'AbortError'))
      next?.[Symbol.dispose]()
    },
  }
}
