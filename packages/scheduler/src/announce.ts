import { type Announcement, encodeAnnouncement, type Incarnation, ProtocolError } from '@skrei/protocol'
import type { StateStore } from '@skrei/state-store'
import type { Clock, Transport } from '@skrei/transport'
import type { ComputeRole } from './compute/role.ts'
import { createAllowance } from './directory/allowance.ts'
import type { Directory } from './directory/directory.ts'
import { hear } from './directory/hear.ts'
import { createPeerAllowance } from './directory/peer-allowance.ts'
import type { Logger, SchedulerOptions } from './options.ts'
import type { Settings } from './settings.ts'

export interface AnnounceWorld {
  readonly network: string
  readonly identity: SchedulerOptions['identity']
  readonly check: SchedulerOptions['check']
  readonly incarnation: () => Incarnation
  readonly clock: Clock
  readonly store: StateStore
  readonly transport: Transport
  readonly directory: Directory
  readonly settings: Settings
  readonly compute: ComputeRole | undefined
  readonly logger: Logger
  readonly report: (error: unknown) => void
  /** Another node announced itself with the key of this one. */
  readonly duplicated: () => void
}

/** Between two announcements for the sake of newcomers; milliseconds. */
const welcomeEvery = 1000
/** How long the signed form of this node's announcement is given to those who ask; milliseconds. */
const signedFor = 1000
/** Of gossip, whoever sends it, which is not known: what is read at all. */
const read = { burst: 4096, perSecond: 512 }
/**
 * A signature costs a tenth of a millisecond to check. Nodes that are known have a bucket each: whoever makes up nodes, as many as it likes, does not keep them from being heard.
 * Strangers share one: a whole small network at once, then as many as it renews.
 */
const renewals = { each: { burst: 8, perSecond: 1 }, all: read }
const newcomers = { burst: 1024, perSecond: 64 }

export interface Announcer extends Disposable {
  start(): void
  /** What others should know has changed: it is announced soon. */
  renew(): void
  /** This node's own announcement, signed; undefined where it runs nothing. */
  own(): Uint8Array | undefined
  /** Whether the network is small enough for everybody to tell everybody. */
  gossips(): boolean
}

/** Tells others what this node is and has, and listens to what they say, while the network is small; in a larger one nodes are asked (directory/sampler.ts). */
export const createAnnouncer = (world: AnnounceWorld): Announcer => {
  const topic = `skrei/announcements/1/${world.network}`
  const stopping = new AbortController()
  let counter = 0
  let announcedAt = -Infinity
  let next: Disposable | undefined
  let signed: { readonly bytes: Uint8Array; readonly at: number } | undefined
  const { clock } = world
  const mayRead = createAllowance({ clock, ...read })
  const mayJoin = createAllowance({ clock, ...newcomers })
  const mayRenew = createPeerAllowance({ clock, ...renewals })
  let startedAt = Number.POSITIVE_INFINITY
  let toldAt = Number.NEGATIVE_INFINITY
  let repeatedAt = Number.NEGATIVE_INFINITY
  const hearing = {
    ...world,
    self: world.identity.nodeId,
    check: (node: string, signed: Uint8Array, signature: Uint8Array): boolean =>
      (world.directory.get(node) === undefined ? mayJoin.take() : mayRenew.take(node)) && world.check(node, signed, signature),
    /** An own announcement that this run did not make: of an earlier run, or of another node with the same key. */
    twin: ({ incarnation, issuedAt }: Announcement): void => {
      if (incarnation.id === world.incarnation().id || issuedAt <= startedAt || world.clock.now() < toldAt + world.settings.announcementTtl) return
      toldAt = world.clock.now()
      world.duplicated()
      world.logger.error('another node lives with the key of this one: stop one of the two', { code: 'duplicate-identity', other: incarnation.counter })
    },
    /** The older of the two learns of the other by that one's own word: nothing else that is said reaches it where neither has work. */
    twins: (newest: Uint8Array): void => {
      if (world.clock.now() < repeatedAt + welcomeEvery) return
      repeatedAt = world.clock.now()
      world.transport.publish(topic, newest).catch((error: unknown) => world.logger.debug('announcing failed', { error: String(error) }))
    },
  }

  const gossips = (): boolean => world.directory.size < world.settings.gossipBelow && world.transport.peerCount() < world.settings.gossipBelow

  const own = (compute: ComputeRole): Announcement => {
    const { sources, publishers, capacity, devices, labels } = compute.offer()
    return {
      network: world.network,
      node: world.identity.nodeId,
      incarnation: world.incarnation(),
      counter: ++counter,
      issuedAt: world.clock.now(),
      ttl: world.settings.announcementTtl,
      engines: [...compute.engines()],
      sources: [...sources],
      publishers: [...publishers],
      capacity,
      free: world.store.read(compute.free),
      devices: [...devices],
      labels: { ...labels },
    }
  }

  const sign = (announcement: Announcement): Uint8Array => {
    signed = { bytes: encodeAnnouncement(announcement, world.identity.sign), at: world.clock.now() }
    return signed.bytes
  }

  const announce = (): void => {
    if (world.compute === undefined || stopping.signal.aborted) return
    // Whatever becomes of this one, there is a next.
    announceAt(world.clock.now() + world.settings.announcementTtl / 3)
    const announcement = own(world.compute)
    world.directory.note(announcement)
    const told = gossips()
    if (told) world.transport.publish(topic, sign(announcement)).catch((error: unknown) => world.logger.debug('announcing failed', { error: String(error) }))
    announcedAt = world.clock.now()
    // To nobody but itself, it only has to be known still, and whether the network has become small.
    announceAt(announcedAt + world.settings.announcementTtl * (told ? 1 / 3 : 2 / 3))
  }

  const announceAt = (time: number): void => {
    next?.[Symbol.dispose]()
    next = world.clock.at(time, announce)
  }

  /** A newcomer knows nobody yet: it should not wait for the next round. However many come, a node announces itself once in this while. */
  const welcome = (): void => announceAt(Math.max(world.clock.now(), announcedAt + welcomeEvery))

  const heard = (bytes: Uint8Array): void => {
    if (!gossips() || !mayRead.take()) return
    const before = world.directory.version
    const announcement = hear(hearing, bytes)
    // Somebody new, or who restarted, or has changed.
    if (announcement !== undefined && world.directory.version !== before) welcome()
  }

  const listen = async (): Promise<void> => {
    for await (const bytes of world.transport.subscribe(topic, { signal: stopping.signal })) {
      try {
        heard(bytes)
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error
        world.logger.debug('an announcement was refused', { code: error.code })
      }
    }
  }

  return {
    start: () => {
      startedAt = world.clock.now()
      listen().catch((error: unknown) => {
        if (!stopping.signal.aborted) world.logger.warn('listening to announcements ended', { error: String(error) })
      })
      try {
        announce()
      } catch (error) {
        world.report(error)
      }
    },
    renew: () => {
      signed = undefined
      if (world.compute !== undefined && next !== undefined) welcome()
    },
    own: () => {
      if (world.compute === undefined) return undefined
      return signed !== undefined && world.clock.now() < signed.at + signedFor ? signed.bytes : sign(own(world.compute))
    },
    gossips,
    [Symbol.dispose]: () => {
      stopping.abort(new DOMException('the node is stopping', 'AbortError'))
      next?.[Symbol.dispose]()
    },
  }
}
