import type { Task } from '@skrei/job-spec'
import { createFairOrder, type FairOrder } from './fair-order.ts'

/** Requesters that share one share. A group of weight 2 is served twice as much as one of weight 1 while both wait. */
export interface Group {
  readonly name: string
  readonly weight: number
}

/** An ask that waits: what it costs is its share of the node, by the resource of which it takes most. */
export interface WaitingAsk {
  readonly id: string
  readonly requester: string
  readonly group: Group
  readonly cost: number
  readonly resources: Task['resources']
  /** How often something that takes of what it lacks was served before it while it was next. */
  readonly bypassed: number
}

/** Asks that wait: fair by group, then by requester; a requester's own in the order in which they came. Holds what a choice needs; rows are the truth. */
export interface AskQueue {
  readonly size: number
  sizeOf(requester: string): number
  add(ask: WaitingAsk): void
  remove(id: string): void
  /** Something of this requester was served, from the queue or past it: the others are next. An ask that is only withdrawn costs no turn. */
  charge(requester: string, group: Group, cost: number): void
  bypassed(id: string, times: number): void
  /** Who waits, in the order of service. */
  requesters(): Iterable<WaitingRequester>
  clear(): void
}

export interface WaitingRequester {
  readonly requester: string
  /** What of it may be served next: its first ask, and the first of each other shape, of a few; of one shape, what does not fit once never fits before the first of it. */
  next(): Iterable<WaitingAsk>
}

/** How many shapes of one requester are looked at. */
const shapesLookedAt = 8

export const createAskQueue = (): AskQueue => {
  const asks = new Map<string, WaitingAsk>()
  const sizes = new Map<string, number>()
  const groups = createFairOrder<{ readonly requesters: FairOrder<Line> }>()

  const count = (requester: string, change: number): void => {
    const size = (sizes.get(requester) ?? 0) + change
    if (size === 0) sizes.delete(requester)
    else sizes.set(requester, size)
  }

  return {
    get size() {
      return asks.size
    },
    sizeOf: (requester) => sizes.get(requester) ?? 0,
    add: (ask) => {
      if (asks.has(ask.id)) return
      asks.set(ask.id, ask)
      count(ask.requester, 1)
      if (groups.get(ask.group.name) === undefined) groups.join(ask.group.name, { requesters: createFairOrder() })
      const requesters = groups.get(ask.group.name)?.requesters
      if (requesters?.get(ask.requester) === undefined) requesters?.join(ask.requester, createLine(ask.requester, asks))
      requesters?.get(ask.requester)?.add(ask)
    },
    remove: (id) => {
      const ask = asks.get(id)
      if (ask === undefined) return
      asks.delete(id)
      count(ask.requester, -1)
      const requesters = groups.get(ask.group.name)?.requesters
      const line = requesters?.get(ask.requester)
      line?.removed(ask)
      if (line?.size === 0) requesters?.leave(ask.requester)
      if (requesters?.size === 0) groups.leave(ask.group.name)
    },
    charge: (requester, group, cost) => {
      groups.get(group.name)?.requesters.charge(requester, cost)
      groups.charge(group.name, cost / group.weight)
    },
    bypassed: (id, times) => {
      const ask = asks.get(id)
      if (ask) asks.set(id, { ...ask, bypassed: times })
    },
    requesters: function* () {
      for (const { requesters } of groups.inOrder()) yield* requesters.inOrder()
    },
    clear: () => {
      asks.clear()
      sizes.clear()
      groups.clear()
    },
  }
}

/** A requester's asks. */
interface Line extends WaitingRequester {
  readonly size: number
  add(ask: WaitingAsk): void
  removed(ask: WaitingAsk): void
}

const createLine = (requester: string, asks: ReadonlyMap<string, WaitingAsk>): Line => {
  const all = createRow(asks)
  const shapes = new Map<string, Row>()
  return {
    requester,
    get size() {
      return all.size
    },
    add: (ask) => {
      all.add(ask.id)
      const shape = shapeOf(ask.resources)
      const row = shapes.get(shape) ?? createRow(asks)
      shapes.set(shape, row)
      row.add(ask.id)
    },
    removed: ({ resources }) => {
      all.removed()
      const shape = shapeOf(resources)
      const row = shapes.get(shape)
      row?.removed()
      if (row?.size === 0) shapes.delete(shape)
    },
    next: function* () {
      const first = all.first()
      if (first === undefined) return
      yield first
      let seen = 0
      for (const row of shapes.values()) {
        if (seen++ >= shapesLookedAt) return
        const ask = row.first()
        if (ask !== undefined && ask.id !== first.id) yield ask
      }
    },
  }
}

/** What fits for one ask of a shape fits for all of it. */
export const shapeOf = ({ cpu, memory, disk, gpu }: Task['resources']): string =>
  JSON.stringify([cpu, memory, disk, gpu.count, gpu.vendor, gpu.model, gpu.memory])

/** First in, first out, with gaps where something left: taking out costs a constant, on the whole. */
interface Row {
  readonly size: number
  add(id: string): void
  removed(): void
  first(): WaitingAsk | undefined
}

const createRow = (asks: ReadonlyMap<string, WaitingAsk>): Row => {
  let ids: string[] = []
  let start = 0
  let size = 0
  return {
    get size() {
      return size
    },
    add: (id) => {
      ids.push(id)
      size++
    },
    removed: () => {
      size--
      if (ids.length - 16 <= 2 * size) return
      ids = ids.slice(start).filter((id) => asks.has(id))
      start = 0
    },
    first: () => {
      for (; start < ids.length; start++) {
        const ask = asks.get(ids[start] ?? '')
        if (ask !== undefined) return ask
      }
      return undefined
    },
  }
}
