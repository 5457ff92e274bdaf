import { decodeHint, ProtocolError } from '@skrei/protocol'
import { createHeartbeats, type Heartbeats, type HeartbeatsWorld } from './compute/heartbeats.ts'
import { createPeerAllowance } from './directory/peer-allowance.ts'
import type { ComputeContext } from './machines/compute-execution.ts'
import { createOpenExecutions, doneStates } from './open-executions.ts'
import type { Logger } from './options.ts'
import type { Peers } from './peers.ts'
import { createLeaseAnswers, type LeaseAnswersWorld } from './requester/lease-answers.ts'

export interface LeasesWorld extends Omit<HeartbeatsWorld & LeaseAnswersWorld, 'executions'> {
  readonly peers: Peers
  readonly logger: Logger
  /** Called with every heartbeat: whether the time of day was set is found out although nothing else happens. */
  readonly onBeat: () => void
  /** Called with every hint, whoever sent it. */
  readonly onHeard: (peer: string) => void
}

/** Heartbeats, leases and progress between this node and its peers: hints, nothing of it is stored. One heartbeat per pair of nodes covers all their executions. */
export interface Leases extends Disposable {
  start(): void
  /** When a compute node was last heard from; never before this node's own start (PROTOCOL.md rule 7). */
  heardAt(node: string): number
  /** Notes how far an execution of this node has come and tells its requester soon. */
  progress(execution: string, requester: string, fraction: number | undefined): void
  /** Waits for a lease by which the node may publish. */
  readonly permit: Heartbeats['permit']
  /** How many executions of a requester this node has. */
  held(requester: string): number
  /** Nodes that run something for this one. */
  running(): ReadonlyMap<string, unknown>
  /** How many awarded executions this node has, of all requesters: those that are not done, and those that are and are kept. */
  standing(): { readonly executions: number; readonly kept: number }
  /** It is not known whether a turn was written. */
  unsure(): void
}

/** Of nodes with which nothing is open: a hint costs a few milliseconds to read. */
const unknown = { each: { burst: 2, perSecond: 0.2 }, all: { burst: 64, perSecond: 16 } }

/** While one of these is open, there is somebody to hear from, or to tell. */
const beating = ['compute', 'execution', 'job']

export const createLeases = (world: LeasesWorld): Leases => {
  const { clock, settings, kernel } = world
  const executions = createOpenExecutions(world)
  const heartbeats = createHeartbeats({ ...world, executions })
  const answers = createLeaseAnswers({ ...world, executions })
  const mayBeRead = createPeerAllowance({ clock, ...unknown })
  let beat: { readonly at: number; readonly alarm: Disposable } | undefined
  let listening: Disposable | undefined
  /** Disposed: nothing sets an alarm any more. */
  let isOver = false

  const hasOpen = (): boolean => world.store.read((reader) => beating.some((kind) => reader.list(kind, { open: true, limit: 1 }).length > 0))

  const tick = (): void => {
    beat = undefined
    // What could not be read now is read with the next beat.
    let next: number | undefined = clock.now() + settings.heartbeat
    try {
      world.onBeat()
      next = heartbeats.beat()
      if (!hasOpen()) next = undefined
    } catch (error) {
      world.report(error)
    }
    if (next !== undefined) beatBy(next)
  }

  const beatBy = (at: number): void => {
    if (isOver || (beat !== undefined && beat.at <= at)) return
    beat?.alarm[Symbol.dispose]()
    beat = { at, alarm: clock.at(at, tick) }
  }

  /** Most nodes of a large network have nothing to do at most times: then nothing beats, and the first change of anything begins it again. */
  const transitions = kernel.onTransition(({ kind, id, to, open, context }) => {
    const lease = kind === 'compute' && to === 'staging' ? (context as unknown as ComputeContext).terms.lease : null
    beatBy(clock.now() + heartbeats.soonest(lease))
    if (kind === 'compute' && !open) heartbeats.ended(id)
  })

  const onHint = (from: string, bytes: Uint8Array): void => {
    world.onHeard(from)
    // Whoever has no part in anything here may still have what is over, after a long absence: such are read now and then.
    if (!answers.knows(from) && !executions.held().has(from) && !mayBeRead.take(from)) return
    try {
      const hint = decodeHint(bytes, { network: world.network })
      if (!world.peers.hint(from, hint.incarnation)) return
      if (hint.type === 'lease') heartbeats.granted(from, hint)
      else answers.heard(from, hint)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      world.logger.debug('a hint was refused', { from, code: error.code })
    }
  }

  return {
    start: () => {
      answers.start()
      heartbeats.start()
      listening = world.transport.onHint(onHint)
      tick()
    },
    heardAt: answers.heardAt,
    progress: heartbeats.progress,
    permit: heartbeats.permit,
    held: (requester) => executions.held().get(requester)?.size ?? 0,
    running: executions.awarded,
    standing: () => {
      const count = { executions: 0, kept: 0 }
      for (const ones of executions.held().values())
        for (const { state } of ones.values()) {
          if (doneStates.has(state)) count.kept += 1
          else if (state !== 'reserved') count.executions += 1
        }
      return count
    },
    unsure: executions.unsure,
    [Symbol.dispose]: () => {
      isOver = true
      beat?.alarm[Symbol.dispose]()
      listening?.[Symbol.dispose]()
      transitions[Symbol.dispose]()
      heartbeats[Symbol.dispose]()
      executions[Symbol.dispose]()
    },
  }
}
