import { encodeHint, type Hint, type Incarnation, maxHintedExecutions } from '@skrei/protocol'
import type { Clock, Transport } from '@skrei/transport'
import type { KernelEvent } from '../kernel/event.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Held, OpenExecutions } from '../open-executions.ts'
import type { Settings } from '../settings.ts'
import { unlessAborted } from '../unless-aborted.ts'

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

export interface Publication {
  readonly execution: string
  readonly requester: string
  /** `terms.lease`, milliseconds. */
  readonly lease: number | null
}

/** What is to be published, or is. */
interface Publishing {
  readonly requester: string
  isBegun: boolean
  /** Until when it waits for a lease; once begun, until when it may go on if no later lease is granted. */
  until: number
  readonly begin: () => void
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
  /**
   * Resolves once the node has a lease by which it may publish the execution, and keeps watch over that until it is disposed of: a lease that ends stops the execution. Rejects with the signal's
   * reason.
   */
  permit(publication: Publication, options: { readonly signal: AbortSignal }): Promise<Disposable>
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
/** In these something runs for the requester, which must keep its lease alive, as it must while it is published. What is done is kept for `terms.retention`. */
const running = new Set(['staging', 'running'])
/** In these the requester waits for what comes of it, or may not know yet what did: it gives up whom it does not hear for a lease. */
const awaited = new Set([...running, 'halting', 'reporting', 'finished', 'publishing', 'published'])
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
  /** By execution. */
  const publications = new Map<string, Publishing>()
  let counter = 0
  let expiry: { readonly at: number; readonly alarm: Disposable } | undefined
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

  /** When the node must stop an execution by itself: a lease after it was granted, awarded or reported, shortened by the drift of clocks. */
  const endOfLease = (requester: string, id: string, { state, lease, since }: Held): number => {
    if (lease === null) return Infinity
    const granted = leaseUntil.get(requester) ?? 0
    if (running.has(state)) return Math.max(granted, (since ?? startedAt) + shortened(lease))
    const publication = state === 'publishing' ? publications.get(id) : undefined
    if (publication === undefined) return Infinity
    return publication.isBegun ? Math.max(granted, publication.until) : publication.until
  }

  const shortened = (lease: number): number => lease * (1 - settings.drift)

  const soonest = (lease: number | null): number => Math.min(settings.heartbeat, (lease ?? Infinity) / beatsPerLease)

  /** As often as the shortest of the requester's leases needs, whatever this node's own setting says. */
  const paceOf = (ones: ReadonlyMap<string, Held>): number => {
    let pace = settings.heartbeat
    for (const { state, lease } of ones.values()) if (awaited.has(state)) pace = Math.min(pace, soonest(lease))
    return pace
  }

  const begin = (one: Publishing, until: number): void => {
    one.isBegun = true
    one.until = until
    one.begin()
    expireBy(until)
  }

  const expire = (): void => {
    const now = clock.now()
    expiry?.alarm[Symbol.dispose]()
    expiry = undefined
    if (isOver) return
    const over: KernelEvent[] = []
    let next = Infinity
    for (const [requester, ones] of executions.held())
      for (const [id, one] of ones) {
        const end = endOfLease(requester, id, one)
        if (end <= now) over.push({ kind: 'compute', id, event: { type: 'stop' }, actor: 'clock' })
        else next = Math.min(next, end)
      }
    if (over.length > 0) world.kernel.submit(over).catch(world.report)
    expireBy(next)
  }

  /** Before the next heartbeat, a lease may end. */
  const expireBy = (at: number): void => {
    if (isOver || at >= clock.now() + settings.heartbeat || (expiry !== undefined && expiry.at <= at)) return
    expiry?.alarm[Symbol.dispose]()
    expiry = { at, alarm: clock.at(at, expire) }
  }

  const tellSoon = (requester: string): void => {
    if (isOver || soon.has(requester)) return
    soon.set(
      requester,
      clock.at(clock.now() + progressEvery, () => {
        soon.delete(requester)
        const mine = executions.held().get(requester)
        if (mine) alive(requester, mine)
      }),
    )
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
      const until = Math.max(leaseUntil.get(from) ?? 0, at + shortened(hint.lease))
      leaseUntil.set(from, until)
      const stopped = new Set(hint.stop)
      if (until > clock.now()) for (const [id, one] of publications) if (one.requester === from && !one.isBegun && !stopped.has(id)) begin(one, until)
      const mine = executions.held().get(from)
      const stop = hint.stop.filter((id) => mine?.has(id))
      if (stop.length > 0) world.kernel.submit(stop.map((id) => ({ kind: 'compute', id, event: { type: 'stop' }, actor: from }))).catch(world.report)
    },
    progress: (execution, requester, fraction) => {
      if (isOver) return
      if (fraction !== undefined) fractions.set(execution, fraction)
      tellSoon(requester)
    },
    permit: async ({ execution, requester, lease }, { signal }) => {
      signal.throwIfAborted()
      if (lease === null) return { [Symbol.dispose]: () => {} }
      const now = clock.now()
      const { promise, resolve } = Promise.withResolvers<void>()
      const one: Publishing = { requester, isBegun: false, until: now + shortened(lease), begin: resolve }
      publications.set(execution, one)
      const reported = executions.held().get(requester)?.get(execution)?.since
      // The requester permitted it after it was reported, and from then on waits for a lease.
      const until = Math.max(leaseUntil.get(requester) ?? 0, reported === undefined ? 0 : reported + shortened(lease))
      if (until > now) begin(one, until)
      else {
        tellSoon(requester)
        expireBy(one.until)
      }
      const dispose = (): void => {
        if (publications.get(execution) === one) publications.delete(execution)
      }
      try {
        await unlessAborted(promise, signal)
      } catch (error) {
        dispose()
        throw error
      }
      return { [Symbol.dispose]: dispose }
    },
    ended: (execution) => void fractions.delete(execution),
    [Symbol.dispose]: () => {
      isOver = true
      expiry?.alarm[Symbol.dispose]()
      for (const alarm of soon.values()) alarm[Symbol.dispose]()
    },
  }
}
