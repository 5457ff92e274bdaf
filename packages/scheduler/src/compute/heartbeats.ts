import { encodeHint, type Hint, type Incarnation, maxHintedExecutions } from '@skrei/protocol'
import type { Clock, Transport } from '@skrei/transport'
import type { KernelEvent } from '../kernel/event.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Held, OpenExecutions } from '../open-executions.ts'
import type { Settings } from '../settings.ts'

export type Phase = Extract<Hint, { type: 'alive' }>['executions'][number]['phase']

export interface HeartbeatsWorld {
  readonly network: string
  readonly incarnation: () => Incarnation
  readonly kernel: Kernel
  readonly clock: Clock
  readonly transport: Transport
  readonly settings: Settings
  readonly executions: OpenExecutions
  readonly report: (error: unknown) => void
}

/** A compute node's half of a lease: it tells each requester what it still has, and stops by itself what nobody answers for. */
export interface Heartbeats extends Disposable {
  start(): void
  /** Tells those whose turn it is. Returns when the next one's is: at the latest a heartbeat from now. */
  beat(): number
  /** How long after a change of this state the next beat must come. */
  soonest(lease: number | null): number
  /** The requester answered. */
  granted(from: string, hint: Extract<Hint, { type: 'lease' }>): void
  /** Notes how far an execution of this node has come and tells its requester soon. */
  progress(execution: string, requester: string, fraction: number | undefined): void
  /** It is over: nothing of it is remembered. */
  ended(execution: string): void
}

const phases: Readonly<Record<string, Phase>> = {
  reserved: 'reserved',
  staging: 'staging',
  running: 'running',
  halting: 'running',
  stopping: 'running',
  reporting: 'finished',
  logging: 'finished',
  finished: 'finished',
  'finished-unpublished': 'finished',
  publishing: 'publishing',
  published: 'published',
}
/** In these something runs for the requester, which must keep its lease alive. What is done is kept for `terms.retention`. */
const leased = new Set(['staging', 'running'])
const progressEvery = 250
/** With less than this between two beats a node would do little else; milliseconds. */
const fastestBeat = 250
/** One of three beats may be late, or lost. */
const beatsPerLease = 3
/** What is shorter is declined: the node could not hold it. */
export const shortestLease = beatsPerLease * fastestBeat
/** An answer that comes later than this is none: its lease is over, or as good as; milliseconds. */
const answeredWithin = 60_000
const mostUnanswered = 1024

export const createHeartbeats = (world: HeartbeatsWorld): Heartbeats => {
  const { clock, settings, executions } = world
  let startedAt = clock.now()
  const leaseUntil = new Map<string, number>()
  const sentAt = new Map<string, Map<number, number>>()
  const beatAt = new Map<string, number>()
  const fractions = new Map<string, number>()
  const soon = new Map<string, Disposable>()
  let counter = 0
  let expiry: Disposable | undefined
  let isOver = false

  const remember = (requester: string): void => {
    const times = sentAt.get(requester) ?? new Map<number, number>()
    sentAt.set(requester, times)
    times.set(counter, clock.now())
    for (const [old, at] of times) {
      if (at > clock.now() - answeredWithin && times.size <= mostUnanswered) break
      times.delete(old)
    }
  }

  const alive = (requester: string, ones: ReadonlyMap<string, Held>): void => {
    counter++
    remember(requester)
    const named = [...ones].flatMap(([id, { state }]) => {
      const phase = phases[state]
      const fraction = fractions.get(id)
      return phase === undefined ? [] : [{ id, phase, ...(fraction !== undefined && { fraction }) }]
    })
    const hint: Hint = {
      type: 'alive',
      network: world.network,
      incarnation: world.incarnation(),
      counter,
      executions: named.slice(0, maxHintedExecutions),
    }
    world.transport.hint(requester, encodeHint(hint))
  }

  /** When the node must stop an execution by itself: a lease after it was granted, or awarded, shortened by the drift of clocks. */
  const endOfLease = (requester: string, { state, lease, since }: Held): number =>
    lease === null || !leased.has(state) ? Infinity : Math.max(leaseUntil.get(requester) ?? 0, (since ?? startedAt) + lease * (1 - settings.drift))

  const soonest = (lease: number | null): number => Math.min(settings.heartbeat, (lease ?? Infinity) / beatsPerLease)

  /** As often as the shortest of the requester's leases needs, whatever this node's own setting says. */
  const paceOf = (ones: ReadonlyMap<string, Held>): number => {
    let pace = settings.heartbeat
    for (const { state, lease } of ones.values()) if (leased.has(state)) pace = Math.min(pace, soonest(lease))
    return pace
  }

  const expire = (): void => {
    const now = clock.now()
    expiry?.[Symbol.dispose]()
    if (isOver) return
    const over: KernelEvent[] = []
    let next = Infinity
    for (const [requester, ones] of executions.held())
      for (const [id, one] of ones) {
        const end = endOfLease(requester, one)
        if (end <= now) over.push({ kind: 'compute', id, event: { type: 'stop' }, actor: 'clock' })
        else next = Math.min(next, end)
      }
    if (over.length > 0) world.kernel.submit(over).catch(world.report)
    // Before the next heartbeat, a lease may end.
    if (next < now + settings.heartbeat) expiry = clock.at(next, expire)
  }

  return {
    start: () => {
      startedAt = clock.now()
    },
    beat: () => {
      const now = clock.now()
      const held = executions.held()
      let next = now + settings.heartbeat
      for (const [requester, ones] of held) {
        const pace = paceOf(ones)
        // An alarm may ring a fraction of a millisecond early.
        if (now + 1 >= (beatAt.get(requester) ?? Number.NEGATIVE_INFINITY) + pace) {
          beatAt.set(requester, now)
          alive(requester, ones)
        }
        next = Math.min(next, (beatAt.get(requester) ?? now) + pace)
      }
      for (const known of [sentAt, leaseUntil, beatAt]) for (const requester of known.keys()) if (!held.has(requester)) known.delete(requester)
      expire()
      return next
    },
    soonest,
    granted: (from, hint) => {
      const at = sentAt.get(from)?.get(hint.counter)
      // An answer to nothing that was said.
      if (at === undefined) return
      // Counted from when we asked: whatever the answer took is not ours.
      leaseUntil.set(from, Math.max(leaseUntil.get(from) ?? 0, at + hint.lease * (1 - settings.drift)))
      const mine = executions.held().get(from)
      const stop = hint.stop.filter((id) => mine?.has(id))
      if (stop.length > 0) world.kernel.submit(stop.map((id) => ({ kind: 'compute', id, event: { type: 'stop' }, actor: from }))).catch(world.report)
    },
    progress: (execution, requester, fraction) => {
      if (isOver) return
      if (fraction !== undefined) fractions.set(execution, fraction)
      if (soon.has(requester)) return
      soon.set(
        requester,
        clock.at(clock.now() + progressEvery, () => {
          soon.delete(requester)
          const mine = executions.held().get(requester)
          if (mine) alive(requester, mine)
        }),
      )
    },
    ended: (execution) => void fractions.delete(execution),
    [Symbol.dispose]: () => {
      isOver = true
      expiry?.[Symbol.dispose]()
      for (const alarm of soon.values()) alarm[Symbol.dispose]()
    },
  }
}
