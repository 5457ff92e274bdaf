import type { Device, Task } from '@skrei/job-spec'
import { maxHintedExecutions } from '@skrei/protocol'
import type { Data, Reader } from '@skrei/state-store'
import { allRows } from '../kernel/all-rows.ts'
import type { Transition } from '../kernel/event.ts'
import { type Ledger, readLedger } from '../kernel/ledger.ts'
import type { ComputeContext } from '../machines/compute-execution.ts'
import type { ComputeOptions } from '../options.ts'
import type { Settings } from '../settings.ts'
import { allocate, costOf, delays, type Limits } from './capacity.ts'
import { createAskQueue, type Group, shapeOf, type WaitingAsk } from './queue.ts'
import { createReservations } from './reservations.ts'

export interface AdmissionWorld {
  readonly options: Pick<ComputeOptions, 'group'>
  readonly settings: Settings
  readonly limits: Limits
  readonly devices: () => readonly Device[]
  readonly now: () => number
  readonly random: () => number
  /** How many executions of a requester the node has, but for what this turn changes. */
  readonly held: (requester: string) => number
}

/** Whether an ask may take what is free: not while it is another's turn. `passes`: whom it is served before, to whose cost. */
export type Turn = { readonly may: false } | { readonly may: true; readonly passes?: string }

/** Who may take of the node's capacity, and when (PROTOCOL.md rules 11 and 16). A copy in memory of what the rows of asks and bids say, kept within the turn that writes them. */
export interface Admission {
  /** Told in the transaction. Returns whether somebody who waits may go on now. */
  saved(transition: Pick<Transition, 'id' | 'from' | 'to' | 'context' | 'at'>): boolean
  /** Something of what was told did not happen: the rows are read again. */
  undone(): void
  turn(reader: Reader, context: ComputeContext): Turn
  /** The ask that is served next, if anything fits. */
  next(reader: Reader): string | undefined
  isFull(reader: Reader, requester: string): boolean
  /** Whether no more asks of this requester are looked into now. */
  isCrowded(reader: Reader, requester: string): boolean
  /** How many asks wait. */
  queued(reader: Reader): number
  /** For how long this requester gets no bid. */
  pause(requester: string): number
}

/** How many requesters are looked at, at most, to find one of whom something fits. */
const lookedAt = 64
const pageSize = 500
/** Asks that are looked into are only counted: no more of their tasks are in memory. */
const countedPerPage = 50
const mostHeld = maxHintedExecutions
const everybody: Group = { name: 'all', weight: 1 }

export const createAdmission = (world: AdmissionWorld): Admission => {
  const { settings, limits } = world
  const queue = createAskQueue()
  const reservations = createReservations(world)
  /** Asks that are looked into, by requester. */
  const assessing = new Map<string, Set<string>>()
  let assessed = 0
  let isStale = true

  const groupOf = (requester: string): Group => {
    const { name, weight } = world.options.group?.(requester) ?? everybody
    return { name, weight: Number.isFinite(weight) && weight > 0 ? weight : 1 }
  }
  const costOfTask = (task: Task): number => costOf(task.resources, limits, world.devices().length)

  const wait = ({ id, requester, task, bypassed = 0 }: ComputeContext): void =>
    queue.add({ id, requester, group: groupOf(requester), cost: costOfTask(task), resources: task.resources, bypassed })

  const beginAssessing = (requester: string, id: string): void => {
    const ids = assessing.get(requester) ?? new Set()
    assessing.set(requester, ids)
    if (!ids.has(id)) assessed++
    ids.add(id)
  }
  const endAssessing = (requester: string, id: string): void => {
    const ids = assessing.get(requester)
    if (ids?.delete(id)) assessed--
    if (ids?.size === 0) assessing.delete(requester)
  }

  /** How often an ask was bypassed stands in its row; what was served before a restart is forgotten, which costs nobody more than one turn. */
  const refresh = (reader: Reader): void => {
    if (!isStale) return
    isStale = false
    queue.clear()
    reservations.clear()
    assessing.clear()
    assessed = 0
    for (const { requester, id } of contextsIn(reader, 'assessing', countedPerPage)) beginAssessing(requester, id)
    for (const { requester, id, task } of contextsIn(reader, 'reserved')) reservations.opened(requester, id, costOfTask(task), world.now())
    for (const context of [...contextsIn(reader, 'queued')].sort((one, other) => (one.queuedAt ?? 0) - (other.queuedAt ?? 0))) wait(context)
  }

  /** Bids that are not awarded yet are bounded for each requester: by their number, and, while others wait, by their share of the node. */
  const mayReserve = (requester: string, cost: number): boolean => {
    const { count, share } = reservations.held(requester)
    if (count >= settings.reservations) return false
    // One heartbeat names them all: what it does not name is lost. A turn reserves no more than this for one requester.
    if (world.held(requester) > mostHeld - Math.min(settings.reservations, mostHeld / 2)) return false
    if (queue.size === queue.sizeOf(requester)) return true
    return reservations.pause(requester) === 0 && (count === 0 || share + cost <= settings.reservedShare)
  }

  /** The ask whose turn it is. One that may not reserve is not held up by others. */
  const head = (): WaitingAsk | undefined => {
    for (const { next } of queue.requesters()) for (const ask of next()) if (mayReserve(ask.requester, ask.cost)) return ask
    return undefined
  }

  /** Whether something may be served before the one whose turn it is. Once that was bypassed often enough, nothing may that takes of what it lacks. */
  const past = (first: WaitingAsk, resources: Task['resources'], devices: readonly string[], ledger: Ledger): Turn => {
    if (!delays(first.resources, { ...resources, devices }, limits, world.devices(), ledger)) return { may: true }
    return first.bypassed < settings.bypasses ? { may: true, passes: first.id } : { may: false }
  }

  return {
    saved: ({ id, from, to, context: data, at }) => {
      if (isStale) return true
      const context = contextOf(data)
      const { requester, task } = context
      if (from === to) {
        if (to === 'queued') queue.bypassed(id, context.bypassed ?? 0)
        return false
      }
      if (to === 'assessing') beginAssessing(requester, id)
      if (from === 'assessing') endAssessing(requester, id)
      if (to === 'queued') wait(context)
      if (from === 'queued') queue.remove(id)
      if (to === 'reserved') {
        const cost = costOfTask(task)
        reservations.opened(requester, id, cost, at)
        queue.charge(requester, groupOf(requester), cost)
      }
      if (from === 'reserved') reservations.ended(requester, id, to === 'staging' ? 'awarded' : to === 'expired' ? 'expired' : 'released', at)
      return queue.size > 0 && (from === 'queued' || from === 'reserved')
    },
    undone: () => {
      isStale = true
    },
    turn: (reader, { id, requester, task }) => {
      refresh(reader)
      if (!mayReserve(requester, costOfTask(task))) return { may: false }
      const first = head()
      if (first === undefined || first.id === id) return { may: true }
      const ledger = readLedger(reader)
      const fit = allocate(task, limits, world.devices(), ledger)
      return 'refusal' in fit ? { may: false } : past(first, task.resources, fit.devices, ledger)
    },
    next: (reader) => {
      refresh(reader)
      if (queue.size === 0) return undefined
      const ledger = readLedger(reader)
      const unfit = new Set<string>()
      let first: WaitingAsk | undefined
      let looked = 0
      for (const { next } of queue.requesters()) {
        let isEligible = false
        for (const ask of next()) {
          if (!mayReserve(ask.requester, ask.cost)) continue
          isEligible = true
          first ??= ask
          const shape = shapeOf(ask.resources)
          if (unfit.has(shape)) continue
          const fit = allocate(ask, limits, world.devices(), ledger)
          if ('devices' in fit && (first === ask || past(first, ask.resources, fit.devices, ledger).may)) return ask.id
          unfit.add(shape)
        }
        if (isEligible && ++looked >= lookedAt) return undefined
      }
      return undefined
    },
    isFull: (reader, requester) => {
      refresh(reader)
      return queue.size >= settings.queue || queue.sizeOf(requester) >= settings.queue / 2
    },
    isCrowded: (reader, requester) => {
      refresh(reader)
      return assessed >= settings.assessing || (assessing.get(requester)?.size ?? 0) >= settings.assessing / 2
    },
    queued: (reader) => {
      refresh(reader)
      return queue.size
    },
    pause: reservations.pause,
  }
}

// A row's data is its machine's context: only the kernel writes it.
const contextOf = (data: Data): ComputeContext => data as unknown as ComputeContext

const contextsIn = function* (reader: Reader, state: 'assessing' | 'queued' | 'reserved', page = pageSize): Generator<ComputeContext> {
  for (const { data } of allRows(reader, 'compute', { state, open: true }, page)) yield contextOf(data)
}
