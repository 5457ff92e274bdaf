import {
  checkedAfter,
  checkedCount,
  checkedEffect,
  checkedEntry,
  checkedName,
  checkedNumber,
  checkedRow,
  checkedTime,
  checkedWhere,
  refusePromise,
} from './checked.ts'
import { type Reader, type StateStore, StateStoreError, type Transaction } from './index.ts'
import {
  addEntry,
  addToOutbox,
  cloneTables,
  dueBy,
  emptyTables,
  groupEntries,
  listRows,
  objectEntries,
  objectKey,
  pendingEntries,
  pendingOf,
  returnEntries,
  rowOf,
  setDue,
  setRow,
  type Tables,
  takeEntries,
  takeFromOutbox,
  takeLastEntry,
} from './memory-tables.ts'

const contents = new WeakMap<Snapshot, Tables>()

/** Everything that a memory store held at one commit. Opaque, never changes, and may be given to any number of new stores. */
export interface Snapshot {
  /** How many transactions had been committed, over all stores that led here. */
  readonly commits: number
}

export interface MemoryStateStoreOptions {
  /** Start from what another memory store held. */
  readonly from?: Snapshot
  /**
   * Called before each write with its number, counted from 1 over the life of this store (undone ones too). A throw from it is a crash at this point: the transaction
   * is undone whole, whoever catches the error on the way, and the store refuses all further use as `store-closed`. `snapshot()` gives what survived.
   */
  readonly onWrite?: (write: number) => void
  /** Called after each commit that wrote something, with the number of commits. A throw from it is a crash just after the commit: it stays, but nobody gets to know. */
  readonly onCommit?: (commits: number) => void
}

export interface MemoryStateStore extends StateStore {
  /** What is committed. Works after a crash and after disposal. Costs nothing by itself; the next write, here or in a store made from it, copies the indexes once. */
  snapshot(): Snapshot
  /** How many transactions that wrote something have been committed, those of the snapshot it started from included. */
  readonly commits: number
}

/**
 * A state store in memory: for simulations and tests, and for a node that need not survive. Rows and entries that it returns are frozen; bytes are copies.
 *
 * @example
 * const store = memoryStateStore()
 * store.transact((tx) => tx.put({ kind: 'job', id: 'j1', state: 'queued', open: true, version: 1, data: {} }))
 */
export const memoryStateStore = (options: MemoryStateStoreOptions = {}): MemoryStateStore => {
  const { from, onWrite, onCommit } = options
  let tables = (from && contents.get(from)) ?? emptyTables()
  /** The tables are also a snapshot's: copy before writing. */
  let shared = from !== undefined
  let commits = from?.commits ?? 0
  let writes = 0
  let busy: 'no' | 'read' | 'write' = 'no'
  let ended: { readonly why: string; readonly cause?: unknown } | undefined
  const undo: (() => void)[] = []

  if (from && !contents.has(from)) throw new StateStoreError('invalid-data', 'from is not a snapshot of a memory state store', { path: 'from' })

  const usable = (mode: 'read' | 'write'): void => {
    if (ended) throw new StateStoreError('store-closed', `the memory state store ${ended.why}`, { cause: ended.cause })
    if (busy === 'no') throw new StateStoreError('transaction-ended', 'this transaction is over: use it only inside the work it was given to')
    if (mode === 'write' && busy === 'read') throw new StateStoreError('transaction-ended', 'this transaction is over: `read` cannot write')
  }

  const crash = (cause: unknown): never => {
    ended = { why: 'crashed in a hook', cause }
    throw cause
  }

  const beginWrite = (): void => {
    usable('write')
    writes += 1
    if (onWrite) {
      try {
        onWrite(writes)
      } catch (error) {
        crash(error)
      }
    }
    if (shared) {
      tables = cloneTables(tables)
      shared = false
    }
  }

  const undoTo = (mark: number): void => {
    while (undo.length > mark) undo.pop()?.()
  }

  const reader: Reader = {
    get(kind, id) {
      usable('read')
      return rowOf(tables, kind, id)
    },
    list(kind, where) {
      usable('read')
      return listRows(tables, kind, checkedWhere(where))
    },
    history(kind, id, after, limit) {
      usable('read')
      checkedAfter(after, 'after')
      checkedCount(limit, 'limit')
      return objectEntries(tables, objectKey(kind, id), after, limit)
    },
    groupHistory(group, after, limit) {
      usable('read')
      checkedAfter(after, 'after')
      checkedCount(limit, 'limit')
      return groupEntries(tables, group, after, limit)
    },
    due(now, limit) {
      usable('read')
      checkedTime(now, 'now')
      checkedCount(limit, 'limit')
      return dueBy(tables, now, limit)
    },
    nextDeadline() {
      usable('read')
      return tables.dueOrder.first()?.at
    },
    pending(after, limit) {
      usable('read')
      checkedAfter(after, 'after')
      checkedCount(limit, 'limit')
      return pendingEntries(tables, after, limit)
    },
  }

  const drop = (outboxId: number): void => {
    const entry = takeFromOutbox(tables, outboxId)
    if (entry) undo.push(() => addToOutbox(tables, entry))
  }

  const transaction: Transaction = {
    ...reader,
    nested(work) {
      usable('write')
      const mark = undo.length
      try {
        const result = work()
        refusePromise(result)
        return result
      } catch (error) {
        undoTo(mark)
        throw error
      }
    },
    put(row) {
      const kept = checkedRow(row)
      beginWrite()
      const before = setRow(tables, kept.kind, kept.id, kept)
      undo.push(() => setRow(tables, kept.kind, kept.id, before))
    },
    remove(kind, id) {
      checkedName(kind, 'kind')
      checkedName(id, 'id')
      beginWrite()
      const key = objectKey(kind, id)
      const row = setRow(tables, kind, id, undefined)
      const due = setDue(tables, key, undefined)
      const entries = takeEntries(tables, key)
      undo.push(() => {
        setRow(tables, kind, id, row)
        setDue(tables, key, due)
        returnEntries(tables, key, entries)
      })
    },
    record(entry) {
      const kept = checkedEntry(entry)
      beginWrite()
      const added = Object.freeze({ sequence: tables.sequence + 1, ...kept })
      addEntry(tables, added)
      undo.push(() => takeLastEntry(tables, added))
      return added.sequence
    },
    deadline(kind, id, at) {
      checkedName(kind, 'kind')
      checkedName(id, 'id')
      if (at !== undefined) checkedNumber(at, 'at')
      beginWrite()
      const key = objectKey(kind, id)
      const before = setDue(tables, key, at === undefined ? undefined : { key, kind, id, at: at + 0 })
      undo.push(() => setDue(tables, key, before))
    },
    enqueue(effect) {
      const kept = checkedEffect(effect)
      beginWrite()
      tables.outboxId += 1
      const { outboxId } = tables
      addToOutbox(tables, Object.freeze({ outboxId, ...kept }))
      undo.push(() => {
        takeFromOutbox(tables, outboxId)
        tables.outboxId = outboxId - 1
      })
      return outboxId
    },
    done(outboxId) {
      checkedAfter(outboxId, 'outboxId')
      beginWrite()
      drop(outboxId)
    },
    cancel(kind, id) {
      checkedName(kind, 'kind')
      checkedName(id, 'id')
      beginWrite()
      for (const outboxId of pendingOf(tables, kind, id)) drop(outboxId)
    },
  }

  const begin = (mode: 'read' | 'write'): void => {
    if (ended) throw new StateStoreError('store-closed', `the memory state store ${ended.why}`, { cause: ended.cause })
    if (busy !== 'no') throw new StateStoreError('reentrant', 'the state store is in a transaction already: use the one that is open')
    busy = mode
  }

  return {
    transact(work) {
      begin('write')
      let result: ReturnType<typeof work>
      let changed = false
      try {
        result = work(transaction)
        refusePromise(result)
        // Code in between may have caught the error of a hook: a crash is a crash.
        if (ended) throw ended.cause
        changed = undo.length > 0
      } catch (error) {
        undoTo(0)
        throw error
      } finally {
        undo.length = 0
        busy = 'no'
      }
      if (changed) {
        commits += 1
        if (onCommit) {
          try {
            onCommit(commits)
          } catch (error) {
            crash(error)
          }
        }
      }
      return result
    },
    read(work) {
      begin('read')
      try {
        return work(reader)
      } finally {
        busy = 'no'
      }
    },
    snapshot() {
      if (busy === 'write' && undo.length > 0) throw new StateStoreError('reentrant', 'a snapshot inside a transaction would hold what may yet be undone')
      shared = true
      const snapshot: Snapshot = Object.freeze({ commits })
      contents.set(snapshot, tables)
      return snapshot
    },
    get commits() {
      return commits
    },
    [Symbol.dispose]() {
      if (busy !== 'no') throw new StateStoreError('reentrant', 'the state store is in a transaction: dispose it afterwards')
      ended ??= { why: 'was disposed' }
    },
  }
}
