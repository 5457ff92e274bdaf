import { type Announcement, decodeAnnouncement, encodeAnnouncement, type Incarnation, ProtocolError } from '@skrei/protocol'
import type { StateStore } from '@skrei/state-store'
import type { Clock, Transport } from '@skrei/transport'
import type { ComputeRole } from './compute/role.ts'
import type { Directory } from './directory/directory.ts'
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
}

/** Issued further away than this, an announcement is dropped; milliseconds (PROTOCOL.md rule 15). */
const farthest = 300_000
/** Between two announcements for the sake of newcomers; milliseconds. */
const welcomeEvery = 1000

/** Tells others what this node is and has, and listens to what they say. */
export const createAnnouncer = (world: AnnounceWorld): Disposable & { start(): void } => {
  const topic = `skrei/announcements/1/${world.network}`
  const stopping = new AbortController()
  let counter = 0
  let announcedAt = -Infinity
  let next: Disposable | undefined

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

  const publish = async (announcement: Announcement): Promise<void> => {
    world.directory.note(announcement)
    await world.transport.publish(topic, encodeAnnouncement(announcement, world.identity.sign))
  }

  const announce = (): void => {
    if (world.compute === undefined || stopping.signal.aborted) return
    publish(own(world.compute)).catch((error: unknown) => world.logger.debug('announcing failed', { error: String(error) }))
    announcedAt = world.clock.now()
    announceAt(announcedAt + world.settings.announcementTtl / 3)
  }

  const announceAt = (time: number): void => {
    next?.[Symbol.dispose]()
    next = world.clock.at(time, announce)
  }

  /** A newcomer knows nobody yet: it should not wait for the next round. However many come, a node announces itself once in this while. */
  const welcome = (): void => announceAt(Math.max(world.clock.now(), announcedAt + welcomeEvery))

  const heard = (bytes: Uint8Array): void => {
    const announcement = decodeAnnouncement(bytes, { network: world.network, check: world.check })
    const isOwn = announcement.node === world.identity.nodeId
    if (isOwn || Math.abs(announcement.issuedAt - world.clock.now()) > farthest) return
    const isNew = world.directory.get(announcement.node)?.incarnation.counter !== announcement.incarnation.counter
    world.directory.note(announcement)
    if (isNew) welcome()
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
      listen().catch((error: unknown) => {
        if (!stopping.signal.aborted) world.logger.warn('listening to announcements ended', { error: String(error) })
      })
      announce()
    },
    [Symbol.dispose]: () => {
      stopping.abort(new DOMException('the node is stopping', 'AbortError'))
      next?.[Symbol.dispose]()
    },
  }
}
