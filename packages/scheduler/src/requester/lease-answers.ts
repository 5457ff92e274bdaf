import { encodeHint, type Hint, type Incarnation, maxHintedExecutions } from '@skrei/protocol'
import type { StateStore } from '@skrei/state-store'
import type { Clock, Transport } from '@skrei/transport'
import type { Phase } from '../compute/heartbeats.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { type ExecutionContext, isRecorded } from '../machines/execution.ts'
import type { Awarded, OpenExecutions } from '../open-executions.ts'
import type { Settings } from '../settings.ts'

type Alive = Extract<Hint, { type: 'alive' }>

export interface LeaseAnswersWorld {
  readonly network: string
  readonly incarnation: () => Incarnation
  readonly store: StateStore
  readonly kernel: Kernel
  readonly clock: Clock
  readonly transport: Transport
  readonly settings: Settings
  readonly executions: OpenExecutions
  readonly report: (error: unknown) => void
  readonly onProgress: (node: string, shardId: string, phase: Phase, fraction: number | undefined) => void
}

/** A requester's half of a lease: it hears from the nodes that run something for it, and says for how long they may go on. */
export interface LeaseAnswers {
  start(): void
  /** Whether this node runs anything for us. */
  knows(node: string): boolean
  heard(from: string, hint: Alive): void
  /** When a compute node was last heard from; never before this node's own start (PROTOCOL.md rule 7). */
  heardAt(node: string): number
}

/** Of how many executions that are not open here one heartbeat may have us look whether they are over; the next ones go on from there. */
const mostLookedUp = 64

export const createLeaseAnswers = (world: LeaseAnswersWorld): LeaseAnswers => {
  const { clock, settings } = world
  const heard = new Map<string, number>()
  const missing = new Map<string, ReadonlySet<string>>()
  const newest = new Map<string, { readonly incarnation: string; readonly counter: number }>()
  let startedAt = clock.now()

  /** Of the incarnation that is heard (`peers` hears no other), a heartbeat that was overtaken says nothing. */
  const isNewest = (from: string, { incarnation, counter: beats }: Alive): boolean => {
    const last = newest.get(from)
    if (last?.incarnation === incarnation.id && beats <= last.counter) return false
    newest.set(from, { incarnation: incarnation.id, counter: beats })
    return true
  }

  const knows = (node: string): boolean => {
    if (world.executions.awarded().has(node)) return true
    // Of a node that runs nothing for us, nothing is kept.
    for (const known of [heard, missing, newest]) known.delete(node)
    return false
  }

  /** Those that it no longer has. */
  const gone = (from: string, { executions }: Alive, mine: ReadonlyMap<string, Awarded>): readonly string[] => {
    // One that may not have named all says nothing of the others.
    if (executions.length >= maxHintedExecutions) return []
    const named = new Set(executions.map(({ id }) => id))
    const before = missing.get(from)
    // Absent once can be a heartbeat that overtook an answer; absent twice is gone.
    const absent = [...mine].flatMap(([id, { state }]) => ((state === 'running' || state === 'accepted') && !named.has(id) ? [id] : []))
    missing.set(from, new Set(absent))
    return absent.filter((id) => before?.has(id))
  }

  /** What it still runs for us, and is over here. */
  const over = (from: string, { executions, counter }: Alive, mine: ReadonlyMap<string, Awarded>): string[] => {
    const others = executions.filter(({ id, phase }) => !mine.has(id) && phase !== 'queued' && phase !== 'reserved')
    const first = others.length > mostLookedUp ? (counter * mostLookedUp) % others.length : 0
    return [...others.slice(first), ...others.slice(0, first)].slice(0, mostLookedUp).flatMap(({ id, phase }) => (isOver(id, phase, from) ? [id] : []))
  }

  /**
   * Ours, and final: whoever still has it may stop. What was recorded is settled by its own message, what failed is let go by its own; but who was away for longer than
   * that is sent would leave published what is no result.
   */
  const isOver = (id: string, phase: Phase, from: string): boolean => {
    const row = world.store.read((reader) => reader.get('execution', id))
    const context = row?.data as unknown as ExecutionContext | undefined
    if (row === undefined || context?.node !== from || row.open || isRecorded(row.state, context)) return false
    return row.state !== 'failed' || phase === 'published'
  }

  const answer = (from: string, { counter }: Alive, stop: string[]): void => {
    const lease: Hint = { type: 'lease', network: world.network, incarnation: world.incarnation(), counter, lease: settings.lease, stop }
    world.transport.hint(from, encodeHint(lease))
  }

  return {
    start: () => {
      startedAt = clock.now()
    },
    knows,
    heard: (from, hint) => {
      const mine = world.executions.awarded().get(from)
      if (mine === undefined) {
        // It needs no lease, and nothing of it is kept: it may have to let go of something.
        const stop = over(from, hint, new Map())
        if (stop.length > 0) answer(from, hint, stop)
        return
      }
      if (!isNewest(from, hint)) return
      heard.set(from, clock.now())
      const lost = gone(from, hint, mine)
      if (lost.length > 0)
        world.kernel.submit(lost.map((id) => ({ kind: 'execution', id, event: { type: 'missing', code: 'node-restarted' }, actor: from }))).catch(world.report)
      answer(from, hint, over(from, hint, mine))
      for (const { id, phase, fraction } of hint.executions) {
        const one = mine.get(id)
        if (one) world.onProgress(from, one.shardId, phase, fraction)
      }
    },
    heardAt: (node) => Math.max(startedAt, heard.get(node) ?? startedAt),
  }
}
