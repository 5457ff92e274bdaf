import { requireData } from './data.ts'
import type { Data, Deadline, HistoryEntry, ListWhere, OutboxEntry, Reader, Row, StateStore, Transaction } from './index.ts'
import { type SortedKeys, sortedKeys } from './sorted-keys.ts'
import { StateStoreError } from './state-store-error.ts'

export interface MemoryStateStore extends StateStore {
  /** Transactions that were committed. */
  readonly commits: number
  /** Everything, as of the last commit: for a simulated crash and restart. */
  snapshot(): MemorySnapshot
}

/** What a store held; opaque. */
export interface MemorySnapshot {
  readonly rows: readonly Row[]
  readonly history: readonly HistoryEntry[]
  readonly deadlines: readonly Deadline[]
  readonly outbox: readonly OutboxEntry[]
  readonly sequence: number
  readonly outboxId: number
}

/** A state store in memory, for tests and simulations. What is stored is frozen, so that nobody can change it afterwards. */
export const memoryStateStore = ({ from }: { readonly from?: MemorySnapshot } = {}): MemoryStateStore => {
  const rows = new Map<string, Map<string, Row>>()
  /** Ids in byte order, by kind and by what `list` narrows to. */
  const indexes = new Map<string, SortedKeys>()
  const history = new Map<string, HistoryEntry[]>()
  const deadlines = new Map<string, Deadline>()
  const byTime = sortedKeys()
  const outbox = new Map<number, OutboxEntry>()
  const outboxOf = new Map<string, Set<number>>()
  let sequence = from?.sequence ?? 0
  let outboxId = from?.outboxId ?? 0
  let undo: (() => void)[] | undefined
  let commits = 0
  let closed = false

  const index = (key: string): SortedKeys => {
    const known = indexes.get(key)
    if (known) return known
    const made = sortedKeys()
    indexes.set(key, made)
    return made
  }

  const indexesOf = ({ kind, parent, state, open }: Row): readonly string[] => [
    indexKey(kind, {}),
    indexKey(kind, { open }),
    indexKey(kind, { state }),
    ...(parent === undefined ? [] : [indexKey(kind, { parent }), indexKey(kind, { parent, open })]),
  ]

  const setRow = (kind: string, id: string, row: Row | undefined): void => {
    const ofKind = rows.get(kind) ?? new Map<string, Row>()
    rows.set(kind, ofKind)
    const before = ofKind.get(id)
    const [old, fresh] = [before ? indexesOf(before) : [], row ? indexesOf(row) : []]
    for (const key of old) if (!fresh.includes(key)) index(key).remove(id)
    for (const key of fresh) if (!old.includes(key)) index(key).add(id)
    if (row) ofKind.set(id, row)
    else ofKind.delete(id)
  }

  const setDeadline = (kind: string, id: string, at: number | undefined): void => {
    const key = objectKey(kind, id)
    const before = deadlines.get(key)
    if (before) byTime.remove(timeKey(before))
    if (at === undefined) deadlines.delete(key)
    else {
      const deadline = { kind, id, at }
      deadlines.set(key, deadline)
      byTime.add(timeKey(deadline))
    }
  }

  const setEffect = (id: number, entry: OutboxEntry | undefined): void => {
    const before = outbox.get(id)
    const of = (one: OutboxEntry): Set<number> => {
      const key = objectKey(one.kind, one.id)
      const ids = outboxOf.get(key) ?? new Set<number>()
      outboxOf.set(key, ids)
      return ids
    }
    if (entry) {
      outbox.set(id, entry)
      of(entry).add(id)
    } else if (before) {
      outbox.delete(id)
      of(before).delete(id)
    }
  }

  for (const row of from?.rows ?? []) setRow(row.kind, row.id, row)
  for (const { kind, id, at } of from?.deadlines ?? []) setDeadline(kind, id, at)
  for (const entry of from?.outbox ?? []) setEffect(entry.outboxId, entry)
  for (const entry of from?.history ?? []) {
    const key = objectKey(entry.kind, entry.id)
    history.set(key, [...(history.get(key) ?? []), entry])
  }

  const reader: Reader = {
    get: (kind, id) => rows.get(kind)?.get(id),
    list: (kind, where) => {
      const { parent, state, open, after, limit } = where
      // The narrowest index there is; what it does not cover is looked at one by one.
      const key = indexKey(
        kind,
        parent !== undefined ? { parent, ...(open !== undefined && { open }) } : state !== undefined ? { state } : open !== undefined ? { open } : {},
      )
      const found: Row[] = []
      for (const id of index(key).after(after)) {
        if (found.length >= limit) break
        const row = rows.get(kind)?.get(id)
        if (row && (state === undefined || row.state === state) && (open === undefined || row.open === open)) found.push(row)
      }
      return found
    },
    history: (kind, id, after, limit) => (history.get(objectKey(kind, id)) ?? []).filter((entry) => entry.sequence > after).slice(0, limit),
    due: (now, limit) => {
      const found: Deadline[] = []
      for (const key of byTime.after(undefined)) {
        const deadline = deadlines.get(key.slice(timeDigits))
        if (deadline === undefined || deadline.at > now || found.length >= limit) break
        found.push(deadline)
      }
      return found
    },
    nextDeadline: () => {
      const first = byTime.after(undefined).next()
      return first.done === true ? undefined : deadlines.get(first.value.slice(timeDigits))?.at
    },
    pending: (after, limit) => {
      const found: OutboxEntry[] = []
      for (const entry of outbox.values()) {
        if (found.length >= limit) break
        if (entry.outboxId > after) found.push(entry)
      }
      return found
    },
  }

  const log = (reverse: () => void): void => void undo?.push(reverse)
  const rewind = (length: number): void => {
    while (undo !== undefined && undo.length > length) undo.pop()?.()
  }

  const transaction: Transaction = {
    ...reader,
    nested: (work) => {
      const length = undo?.length ?? 0
      try {
        return work()
      } catch (error) {
        rewind(length)
        throw error
      }
    },
    put: (row) => {
      const before = rows.get(row.kind)?.get(row.id)
      setRow(row.kind, row.id, Object.freeze({ ...row, data: frozen(row.data, `${row.kind} ${row.id}`) }))
      log(() => setRow(row.kind, row.id, before))
    },
    remove: (kind, id) => {
      const before = rows.get(kind)?.get(id)
      if (before === undefined) return
      setRow(kind, id, undefined)
      log(() => setRow(kind, id, before))
    },
    record: (entry) => {
      const key = objectKey(entry.kind, entry.id)
      const entries = history.get(key) ?? []
      history.set(key, entries)
      entries.push(Object.freeze({ ...entry, data: frozen(entry.data, `history of ${entry.kind} ${entry.id}`), sequence: ++sequence }))
      log(() => entries.pop())
      return sequence
    },
    deadline: (kind, id, at) => {
      if (at !== undefined && !Number.isFinite(at)) throw new StateStoreError('invalid-data', `deadline of ${kind} ${id}: expected a finite time, found ${at}`)
      const before = deadlines.get(objectKey(kind, id))
      setDeadline(kind, id, at)
      log(() => setDeadline(kind, id, before?.at))
    },
    enqueue: (effect) => {
      const entry = Object.freeze({
        ...effect,
        ...(effect.bytes && { bytes: effect.bytes.slice() }),
        data: frozen(effect.data, `effect ${effect.type} of ${effect.kind} ${effect.id}`),
        outboxId: ++outboxId,
      })
      setEffect(entry.outboxId, entry)
      log(() => setEffect(entry.outboxId, undefined))
      return entry.outboxId
    },
    done: (id) => {
      const before = outbox.get(id)
      if (before === undefined) return
      setEffect(id, undefined)
      log(() => restore(before))
    },
    cancel: (kind, id) => {
      for (const one of [...(outboxOf.get(objectKey(kind, id)) ?? [])]) transaction.done(one)
    },
  }

  /** Puts an entry back where it was: the outbox is read in order of ids. */
  const restore = (entry: OutboxEntry): void => {
    const later = [...outbox.values()].filter((one) => one.outboxId > entry.outboxId)
    for (const one of later) outbox.delete(one.outboxId)
    setEffect(entry.outboxId, entry)
    for (const one of later) outbox.set(one.outboxId, one)
  }

  const usable = (): void => {
    if (closed) throw new StateStoreError('store-closed', 'the store is closed')
  }

  return {
    transact: (work) => {
      usable()
      if (undo !== undefined) throw new StateStoreError('reentrant', 'a transaction is running: use the one that was given to its work')
      undo = []
      try {
        const result = work(transaction)
        commits++
        return result
      } catch (error) {
        rewind(0)
        throw error
      } finally {
        undo = undefined
      }
    },
    read: (work) => {
      usable()
      return work(reader)
    },
    get commits() {
      return commits
    },
    snapshot: () => {
      if (undo !== undefined) throw new StateStoreError('reentrant', 'a snapshot is taken between transactions')
      return {
        rows: [...rows.values()].flatMap((ofKind) => [...ofKind.values()]),
        history: [...history.values()].flat(),
        deadlines: [...deadlines.values()],
        outbox: [...outbox.values()],
        sequence,
        outboxId,
      }
    },
    [Symbol.dispose]: () => {
      closed = true
    },
  }
}

const objectKey = (kind: string, id: string): string => `${kind}\0${id}`
const indexKey = (kind: string, { parent, state, open }: Omit<ListWhere, 'after' | 'limit'>): string =>
  `${kind}\0${parent ?? '\x01'}\0${state ?? '\x01'}\0${open ?? '\x01'}`

/** A time as text that sorts like the number: milliseconds with three decimals, shifted so that it is never negative. */
const timeDigits = 24
const timeKey = ({ kind, id, at }: Deadline): string => (at + 1e15).toFixed(3).padStart(timeDigits, '0') + objectKey(kind, id)

/** A deep, frozen copy. */
const frozen = (data: Data, where: string): Data => {
  requireData(data, where)
  return copy(data)
}
const copy = (data: Data): Data => {
  if (typeof data !== 'object' || data === null) return data
  if (Array.isArray(data)) return Object.freeze((data as readonly Data[]).map(copy))
  const result: Record<string, Data> = {}
  for (const key of Object.keys(data))
    Object.defineProperty(result, key, { value: copy((data as Readonly<Record<string, Data>>)[key] ?? null), enumerable: true })
  return Object.freeze(result)
}
