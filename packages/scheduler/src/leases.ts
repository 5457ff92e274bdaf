import { decodeHint, encodeHint, type Hint, type Incarnation, maxHintedExecutions, ProtocolError } from '@skrei/protocol'
import type { Row, StateStore } from '@skrei/state-store'
import type { Clock, Transport } from '@skrei/transport'
import type { KernelEvent } from './kernel/event.ts'
import type { Kernel } from './kernel/kernel.ts'
import type { ComputeContext } from './machines/compute-execution.ts'
import { type ExecutionContext, isRecorded } from './machines/execution.ts'
import type { Logger } from './options.ts'
import type { Peers } from './peers.ts'
import type { Settings } from './settings.ts'

type Phase = Extract<Hint, { type: 'alive' }>['executions'][number]['phase']

export interface LeasesWorld {
  readonly network: string
  readonly incarnation: () => Incarnation
  readonly store: StateStore
  readonly kernel: Kernel
  readonly peers: Peers
  readonly clock: Clock
  readonly transport: Transport
  readonly settings: Settings
  readonly logger: Logger
  /** Called with every heartbeat: whether the time of day was set is found out although nothing else happens. */
  readonly onBeat: () => void
  readonly report: (error: unknown) => void
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
/** A requester's executions that are not over. */
const requesterStates = ['awarding', 'running', 'accepted', 'matching', 'stopping']
/** While one of these is open, there is somebody to hear from, or to tell. */
const beating = ['compute', 'execution', 'job']
const progressEvery = 250
const pageSize = 1000

export const createLeases = (world: LeasesWorld): Leases => {
  const { clock, settings, kernel } = world
  const heard = new Map<string, number>()
  const missing = new Map<string, Set<string>>()
  const newest = new Map<string, { readonly incarnation: string; readonly counter: number }>()
  const leaseUntil = new Map<string, number>()
  const sentAt = new Map<string, Map<number, number>>()
  const fractions = new Map<string, number>()
  const soon = new Map<string, Disposable>()
  let startedAt = clock.now()
  let counter = 0
  /** Disposed: nothing sets an alarm any more. */
  let isOver = false
  let beat: Disposable | undefined
  let expiry: Disposable | undefined
  let listening: Disposable | undefined

  // The compute side.

  /** All rows of a kind in some states, a page at a time: those that wait are many, and not among them. */
  const rowsIn = (kind: string, states: readonly string[]): readonly Row[] =>
    states.flatMap((state) => {
      const rows: Row[] = []
      for (let after: string | undefined; ; after = rows.at(-1)?.id) {
        const page = world.store.read((reader) => reader.list(kind, { state, open: true, ...(after !== undefined && { after }), limit: pageSize }))
        rows.push(...page)
        if (page.length < pageSize) return rows
      }
    })

  const hasOpen = (kinds: readonly string[]): boolean =>
    world.store.read((reader) => kinds.some((kind) => reader.list(kind, { open: true, limit: 1 }).length > 0))

  const held = (): Map<string, { readonly row: Row; readonly context: ComputeContext }[]> => {
    const byRequester = new Map<string, { row: Row; context: ComputeContext }[]>()
    if (!hasOpen(['compute'])) return byRequester
    for (const row of rowsIn('compute', Object.keys(phases))) {
      const context = row.data as unknown as ComputeContext
      const one = { row, context }
      const others = byRequester.get(context.requester)
      if (others) others.push(one)
      else byRequester.set(context.requester, [one])
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
      executions: executions.slice(0, maxHintedExecutions).flatMap(({ row }) => {
        const phase = phases[row.state]
        const fraction = fractions.get(row.id)
        return phase === undefined ? [] : [{ id: row.id, phase, ...(fraction !== undefined && { fraction }) }]
      }),
    }
    world.transport.hint(requester, encodeHint(hint))
  }

  /** When the node must stop an execution by itself: a lease after it was granted, or awarded, shortened by the drift of clocks. */
  const endOfLease = ({ row, context }: { readonly row: Row; readonly context: ComputeContext }): number =>
    context.terms.lease === null || !leased.has(row.state)
      ? Infinity
      : Math.max(leaseUntil.get(context.requester) ?? 0, (since.get(row.id) ?? startedAt) + context.terms.lease * (1 - settings.drift))

  const tick = (): void => {
    beat = undefined
    // What could not be read now is read with the next beat.
    let goesOn = true
    try {
      world.onBeat()
      const executions = held()
      for (const [requester, ones] of executions) alive(requester, ones)
      for (const known of [sentAt, leaseUntil]) for (const requester of known.keys()) if (!executions.has(requester)) known.delete(requester)
      expire(executions)
      goesOn = hasOpen(beating)
    } catch (error) {
      world.report(error)
    }
    if (goesOn) beatSoon()
  }

  /** Most nodes of a large network have nothing to do at most times: then nothing beats, and the first change of anything begins it again. */
  const beatSoon = (): void => {
    if (!isOver) beat ??= clock.at(clock.now() + settings.heartbeat, tick)
  }

  const expire = (executions: ReturnType<typeof held>): void => {
    const now = clock.now()
    if (executions.size === 0) {
      expiry?.[Symbol.dispose]()
      return
    }
    const all = [...executions.values()].flat()
    const over = all
      .filter((one) => endOfLease(one) <= now)
      .map(({ row }): KernelEvent => ({ kind: 'compute', id: row.id, event: { type: 'stop' }, actor: 'clock' }))
    if (over.length > 0) kernel.submit(over).catch(world.report)
    expiry?.[Symbol.dispose]()
    const next = Math.min(...all.map(endOfLease).filter((end) => end > now))
    // Before the next heartbeat, a lease may end.
    if (next < now + settings.heartbeat) expiry = clock.at(next, () => expire(held()))
  }

  const since = new Map<string, number>()
  const transitions = kernel.onTransition(({ kind, id, from, to, open, at }) => {
    beatSoon()
    if (kind !== 'compute') return
    if (from !== 'staging' && to === 'staging') since.set(id, at)
    if (open) return
    since.delete(id)
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
    kernel.submit(mine.map((id) => ({ kind: 'compute', id, event: { type: 'stop' }, actor: from }))).catch(world.report)
  }

  // The requester's side.

  /** Of the incarnation that is heard (`peers` hears no other), a heartbeat that was overtaken says nothing. */
  const isNewest = (from: string, { incarnation, counter: beats }: Extract<Hint, { type: 'alive' }>): boolean => {
    const last = newest.get(from)
    if (last?.incarnation === incarnation.id && beats <= last.counter) return false
    newest.set(from, { incarnation: incarnation.id, counter: beats })
    return true
  }

  const heartbeat = (from: string, hint: Extract<Hint, { type: 'alive' }>): void => {
    const mine = rowsIn('execution', requesterStates).filter((row) => (row.data as unknown as ExecutionContext).node === from)
    // Of a node that runs nothing for us, nothing is kept.
    if (mine.length === 0) for (const known of [heard, missing, newest]) known.delete(from)
    else if (!isNewest(from, hint)) return
    else heard.set(from, clock.now())
    const named = new Set(hint.executions.map(({ id }) => id))
    const before = missing.get(from) ?? new Set()
    // Absent once can be a heartbeat that overtook an answer; absent twice is gone.
    const absent = mine.filter((row) => (row.state === 'running' || row.state === 'accepted') && !named.has(row.id)).map(({ id }) => id)
    if (mine.length > 0) missing.set(from, new Set(absent))
    const gone = absent.filter((id) => before.has(id))
    if (gone.length > 0)
      kernel.submit(gone.map((id) => ({ kind: 'execution', id, event: { type: 'missing', code: 'node-restarted' }, actor: from }))).catch(world.report)

    const open = new Set(mine.map(({ id }) => id))
    const stop = hint.executions
      .filter(({ id, phase }) => !open.has(id) && phase !== 'queued' && phase !== 'reserved' && isEnded(id, phase, from))
      .map(({ id }) => id)
    world.transport.hint(
      from,
      encodeHint({ type: 'lease', network: world.network, incarnation: world.incarnation(), counter: hint.counter, lease: settings.lease, stop }),
    )
    for (const { id, phase, fraction } of hint.executions) if (open.has(id)) world.onProgress(from, id, phase, fraction)
  }

  /**
   * Ours, and final: whoever still has it may stop. What was recorded is settled by its own message, what failed is let go by its own; but who was away for longer than
   * that is sent would leave published what is no result.
   */
  const isEnded = (id: string, phase: Phase, from: string): boolean => {
    const row = world.store.read((reader) => reader.get('execution', id))
    const context = row?.data as unknown as ExecutionContext | undefined
    if (row === undefined || context?.node !== from || row.open || isRecorded(row.state, context)) return false
    return row.state !== 'failed' || phase === 'published'
  }

  const onHint = (from: string, bytes: Uint8Array): void => {
    try {
      const hint = decodeHint(bytes, { network: world.network })
      if (!world.peers.hint(from, hint.incarnation)) return
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
      if (isOver || soon.has(requester)) return
      soon.set(
        requester,
        clock.at(clock.now() + progressEvery, () => {
          soon.delete(requester)
          alive(requester, held().get(requester) ?? [])
        }),
      )
    },
    [Symbol.dispose]: () => {
      isOver = true
      beat?.[Symbol.dispose]()
      expiry?.[Symbol.dispose]()
      listening?.[Symbol.dispose]()
      transitions[Symbol.dispose]()
      for (const alarm of soon.values()) alarm[Symbol.dispose]()
    },
  }
}
