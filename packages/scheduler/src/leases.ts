import { decodeHint, encodeHint, type Hint, type Incarnation, ProtocolError } from '@skrei/protocol'
import type { Row, StateStore } from '@skrei/state-store'
import type { Clock, Transport } from '@skrei/transport'
import type { KernelEvent } from './kernel/event.ts'
import type { Kernel } from './kernel/kernel.ts'
import type { ComputeContext } from './machines/compute-execution.ts'
import type { ExecutionContext } from './machines/execution.ts'
import type { Logger } from './options.ts'
import type { Settings } from './settings.ts'

type Phase = Extract<Hint, { type: 'alive' }>['executions'][number]['phase']

export interface LeasesWorld {
  readonly network: string
  readonly incarnation: () => Incarnation
  readonly store: StateStore
  readonly kernel: Kernel
  readonly clock: Clock
  readonly transport: Transport
  readonly settings: Settings
  readonly logger: Logger
  readonly onProgress: (node: string, execution: string, phase: Phase, fraction: number | undefined) => void
}

/** Heartbeats, leases and progress between this node and its peers: hints, nothing of it is stored. One heartbeat per pair of nodes covers all their executions. */
export interface Leases extends Disposable {
  start(): void
  /** When a compute node was last heard from; never before this node's own start (PROTOCOL.md rule 7). */
  heardAt(node: string): number
  /** Notes how far an execution of this node has come and tells its requester soon. */
  progress(execution: string, requester: string, fraction: number | undefined): void
}

const phases: Readonly<Record<string, Phase>> = {
  queued: 'queued',
  reserved: 'reserved',
  staging: 'staging',
  running: 'running',
  halting: 'running',
  stopping: 'running',
  finished: 'finished',
  'finished-unpublished': 'finished',
  publishing: 'publishing',
  published: 'published',
}
/** In these the requester must keep the lease alive: something runs or is held for it. */
const leased = new Set(['staging', 'running', 'finished', 'publishing', 'published'])
const progressEvery = 250
const rowsLooked = 8192

export const createLeases = (world: LeasesWorld): Leases => {
  const { clock, settings, kernel } = world
  const heard = new Map<string, number>()
  const missing = new Map<string, Set<string>>()
  const leaseUntil = new Map<string, number>()
  const sentAt = new Map<string, Map<number, number>>()
  const fractions = new Map<string, number>()
  const soon = new Map<string, Disposable>()
  let startedAt = clock.now()
  let counter = 0
  let beat: Disposable | undefined
  let listening: Disposable | undefined

  const rows = (kind: string): readonly Row[] => world.store.read((reader) => reader.list(kind, { open: true, limit: rowsLooked }))

  // The compute side.

  const held = (): Map<string, { readonly row: Row; readonly context: ComputeContext }[]> => {
    const byRequester = new Map<string, { row: Row; context: ComputeContext }[]>()
    for (const row of rows('compute')) {
      const context = row.data as unknown as ComputeContext
      byRequester.set(context.requester, [...(byRequester.get(context.requester) ?? []), { row, context }])
    }
    return byRequester
  }

  const alive = (requester: string, executions: readonly { readonly row: Row }[]): void => {
    counter++
    const times = sentAt.get(requester) ?? new Map<number, number>()
    sentAt.set(requester, times)
    times.set(counter, clock.now())
    for (const old of times.keys()) if (times.size > 16) times.delete(old)
    const hint: Hint = {
      type: 'alive',
      network: world.network,
      incarnation: world.incarnation(),
      counter,
      executions: executions.slice(0, rowsLooked).flatMap(({ row }) => {
        const phase = phases[row.state]
        const fraction = fractions.get(row.id)
        return phase === undefined ? [] : [{ id: row.id, phase, ...(fraction !== undefined && { fraction }) }]
      }),
    }
    world.transport.hint(requester, encodeHint(hint))
  }

  const tick = (): void => {
    const ends: KernelEvent[] = []
    for (const [requester, executions] of held()) {
      alive(requester, executions)
      for (const { row, context } of executions) {
        const until = Math.max(leaseUntil.get(requester) ?? 0, (firstSeen.get(row.id) ?? startedAt) + settings.lease)
        if (context.terms.lease !== null && leased.has(row.state) && clock.now() > until)
          ends.push({ kind: 'compute', id: row.id, event: { type: 'stop' }, actor: 'clock' })
      }
    }
    if (ends.length > 0) void kernel.submit(ends).catch(() => {})
    beat = clock.at(clock.now() + settings.heartbeat, tick)
  }

  const firstSeen = new Map<string, number>()
  const transitions = kernel.onTransition(({ kind, id, from, open, at }) => {
    if (kind !== 'compute') return
    if (from === undefined) firstSeen.set(id, at)
    if (open) return
    firstSeen.delete(id)
    fractions.delete(id)
  })

  const granted = (from: string, hint: Extract<Hint, { type: 'lease' }>): void => {
    const at = sentAt.get(from)?.get(hint.counter)
    // Counted from when we asked: whatever the answer took is not ours.
    if (at !== undefined) leaseUntil.set(from, Math.max(leaseUntil.get(from) ?? 0, at + hint.lease * (1 - settings.drift)))
    if (hint.stop.length === 0) return
    const mine = world.store.read((reader) =>
      hint.stop.filter((id) => (reader.get('compute', id)?.data as unknown as ComputeContext | undefined)?.requester === from),
    )
    void kernel.submit(mine.map((id) => ({ kind: 'compute', id, event: { type: 'stop' }, actor: from }))).catch(() => {})
  }

  // The requester's side.

  const heartbeat = (from: string, hint: Extract<Hint, { type: 'alive' }>): void => {
    heard.set(from, clock.now())
    const named = new Set(hint.executions.map(({ id }) => id))
    const mine = rows('execution').filter((row) => (row.data as unknown as ExecutionContext).node === from)
    const before = missing.get(from) ?? new Set()
    // Absent once can be a heartbeat that overtook an answer; absent twice is gone.
    const absent = mine.filter((row) => (row.state === 'running' || row.state === 'accepted') && !named.has(row.id)).map(({ id }) => id)
    missing.set(from, new Set(absent))
    const gone = absent.filter((id) => before.has(id))
    if (gone.length > 0)
      void kernel.submit(gone.map((id) => ({ kind: 'execution', id, event: { type: 'missing', code: 'node-restarted' }, actor: from }))).catch(() => {})

    const open = new Set(mine.map(({ id }) => id))
    const stop = hint.executions.filter(({ id, phase }) => !open.has(id) && phase !== 'queued' && phase !== 'reserved' && isOver(id, from)).map(({ id }) => id)
    world.transport.hint(
      from,
      encodeHint({ type: 'lease', network: world.network, incarnation: world.incarnation(), counter: hint.counter, lease: settings.lease, stop }),
    )
    for (const { id, phase, fraction } of hint.executions) if (open.has(id)) world.onProgress(from, id, phase, fraction)
  }

  /** Ours, and final: whoever still has it may stop. What was completed is settled by its own message. */
  const isOver = (id: string, from: string): boolean => {
    const row = world.store.read((reader) => reader.get('execution', id))
    return row !== undefined && !row.open && row.state !== 'completed' && row.state !== 'failed' && (row.data as unknown as ExecutionContext).node === from
  }

  const onHint = (from: string, bytes: Uint8Array): void => {
    try {
      const hint = decodeHint(bytes, { network: world.network })
      if (hint.type === 'alive') heartbeat(from, hint)
      else granted(from, hint)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      world.logger.debug('a hint was refused', { from, code: error.code })
    }
  }

  return {
    start: () => {
      startedAt = clock.now()
      listening = world.transport.onHint(onHint)
      tick()
    },
    heardAt: (node) => Math.max(startedAt, heard.get(node) ?? startedAt),
    progress: (execution, requester, fraction) => {
      if (fraction !== undefined) fractions.set(execution, fraction)
      if (soon.has(requester)) return
      soon.set(
        requester,
        clock.at(clock.now() + progressEvery, () => {
          soon.delete(requester)
          alive(requester, held().get(requester) ?? [])
        }),
      )
    },
    [Symbol.dispose]: () => {
      beat?.[Symbol.dispose]()
      listening?.[Symbol.dispose]()
      transitions[Symbol.dispose]()
      for (const alarm of soon.values()) alarm[Symbol.dispose]()
    },
  }
}
