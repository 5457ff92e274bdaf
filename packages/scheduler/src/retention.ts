import type { StateStore, Transaction } from '@skrei/state-store'
import type { Clock } from '@skrei/transport'
import { createPeerForgetter } from './forget-peers.ts'
import { type Ended, endedBefore, shortestKeep } from './kernel/ended.ts'
import { forgetObject } from './kernel/forget-object.ts'
import type { Settings } from './settings.ts'

export interface RetentionWorld {
  readonly store: StateStore
  readonly clock: Clock
  readonly settings: Pick<Settings, 'keepJobs' | 'keepExecutions'>
  /** When a peer was last heard from, as far as this run knows. */
  readonly heardAt: (peer: string) => number | undefined
  /** Nodes that run something for this one. */
  readonly running: () => { has(node: string): boolean }
  readonly report: (error: unknown) => void
}

export interface Retention extends Disposable {
  start(): void
}

/** How many rows go in one transaction: some milliseconds, in which nothing else happens. */
const rowsPerSweep = 200
/** A row may be a long list of files: no more of them are in memory at a time. */
const rowsPerList = 50
/** Between two sweeps of the node, when there is more to do and when there is not. */
const soon = 100
const later = 600_000

/**
 * Removes what is over and was kept long enough, a bounded number of rows at a time. It needs no memory of its own: the row that says that an object ended goes last,
 * with the last of what belonged to it, so that a sweep that was cut off goes on where it was.
 */
export const createRetention = ({ store, clock, settings, heardAt, running, report }: RetentionWorld): Retention => {
  const keepExecutions = Math.max(shortestKeep, settings.keepExecutions)
  const peers = createPeerForgetter({ keep: keepExecutions, heardAt })
  let alarm: Disposable | undefined

  const sweep = (): void => {
    let more = false
    try {
      const now = clock.now()
      const before = { job: now - Math.max(shortestKeep, settings.keepJobs), compute: now - keepExecutions }
      more = store.transact((transaction) => forgetEnded(transaction, before, rowsPerSweep))
      // It may read the store itself.
      const nodes = running()
      more = store.transact((transaction) => peers.sweep(transaction, now, rowsPerSweep, nodes)) || more
    } catch (error) {
      report(error)
    }
    alarm = clock.at(clock.now() + (more ? soon : later), sweep)
  }

  return {
    start: sweep,
    [Symbol.dispose]: () => alarm?.[Symbol.dispose](),
  }
}

/** Removes at most about `most` rows of what ended before these times. Returns whether there is more. */
export const forgetEnded = (transaction: Transaction, before: { readonly job: number; readonly compute: number }, most: number): boolean => {
  const room = { left: most }
  for (const kind of ['job', 'compute'] as const) {
    while (room.left > 0) {
      const [ended] = endedBefore(transaction, kind, before[kind], 1)
      if (ended === undefined) break
      if (kind === 'compute') forget(transaction, kind, ended.id, room)
      else if (!forgetJob(transaction, ended, room)) return true
      transaction.remove('ended', ended.row)
    }
  }
  return room.left <= 0
}

interface Room {
  left: number
}

/** The job first: nobody reads half of one. Then what belonged to it. Returns whether that was all. */
const forgetJob = (transaction: Transaction, { id }: Ended, room: Room): boolean => {
  forget(transaction, 'job', id, room)
  transaction.remove('spec', id)
  for (const key of transaction.list('key', { parent: id, limit: 1 })) transaction.remove('key', key.id)
  for (;;) {
    const [shard] = transaction.list('shard', { parent: id, limit: 1 })
    if (shard === undefined) break
    if (!forgetAll(transaction, 'execution', shard.id, room)) return false
    forget(transaction, 'shard', shard.id, room)
    if (room.left <= 0) return false
  }
  return forgetAll(transaction, 'manifest', id, room)
}

const forgetAll = (transaction: Transaction, kind: string, parent: string, room: Room): boolean => {
  while (room.left > 0) {
    const rows = transaction.list(kind, { parent, limit: Math.min(room.left, rowsPerList) })
    for (const row of rows) forget(transaction, kind, row.id, room)
    if (rows.length === 0) return true
  }
  return false
}

const forget = (transaction: Transaction, kind: string, id: string, room: Room): void => {
  forgetObject(transaction, kind, id)
  room.left--
}
