import type { Data } from './data.ts'

export type { Data } from './data.ts'
export { StateStoreError, type StateStoreErrorCode } from './errors.ts'
export { sharedData } from './plain-data.ts'

/** The store of one node's own state: rows, history, deadlines and an outbox. It knows no job. */
export interface StateStore extends Disposable {
  /** All or nothing, and durable when it returns. Not re-entrant. `work` is synchronous: a promise is refused. Throws `StateStoreError`. */
  transact<T>(work: (transaction: Transaction) => T): T
  read<T>(work: (reader: Reader) => T): T
}

/** One object: `kind` and `id` name it. `open` is false once it is final. `version` counts its writes. */
export interface Row {
  readonly kind: string
  readonly id: string
  readonly parent?: string
  readonly state: string
  readonly open: boolean
  readonly version: number
  readonly data: Data
}

/** `sequence` is given by the store, rising over all entries. `group` puts entries of several objects into one history besides: those of a job and of its parts. */
export interface HistoryEntry {
  readonly sequence: number
  readonly kind: string
  readonly id: string
  readonly group?: string
  readonly at: number
  readonly data: Data
}

export interface Deadline {
  readonly kind: string
  readonly id: string
  readonly at: number
}

/** `lane`: effects of one lane are performed in order. */
export interface Effect {
  readonly kind: string
  readonly id: string
  readonly type: string
  readonly lane: string
  readonly data: Data
  /** Bytes that must survive as they are: a message. */
  readonly bytes?: Uint8Array
}

export interface OutboxEntry extends Effect {
  readonly outboxId: number
}

export interface ListWhere {
  readonly parent?: string
  readonly state?: string
  readonly open?: boolean
  /** Only ids that begin with it. */
  readonly prefix?: string
  /** From the last id to the first. Default: in byte order of ids. */
  readonly descending?: boolean
  /** Only ids after this one, in the order of the answer. */
  readonly after?: string
  readonly limit: number
}

export interface Reader {
  get(kind: string, id: string): Row | undefined
  /** A page costs no more than the page, where one of the conditions is as rare as all of them together. */
  list(kind: string, where: ListWhere): readonly Row[]
  /** Entries of one object with a higher sequence, oldest first. */
  history(kind: string, id: string, after: number, limit: number): readonly HistoryEntry[]
  /** Entries of one group with a higher sequence, oldest first, whatever their objects; a page costs no more than the page. */
  groupHistory(group: string, after: number, limit: number): readonly HistoryEntry[]
  /** Deadlines at or before `now`, earliest first. */
  due(now: number, limit: number): readonly Deadline[]
  nextDeadline(): number | undefined
  /** Entries with a higher outbox id, oldest first. */
  pending(after: number, limit: number): readonly OutboxEntry[]
}

export interface Transaction extends Reader {
  /** A savepoint: a throw out of `work` undoes only what was written in it, and goes on to the caller. */
  nested<T>(work: () => T): T
  /** Replaces the whole row. */
  put(row: Row): void
  /** Drops the row, its history (from its groups too) and its deadline. Effects that are pending stay: see `cancel`. */
  remove(kind: string, id: string): void
  /** Returns the entry's sequence. */
  record(entry: Omit<HistoryEntry, 'sequence'>): number
  /** Sets, moves or (undefined) clears the one deadline of an object. */
  deadline(kind: string, id: string, at: number | undefined): void
  /** Returns the outbox id, rising. */
  enqueue(effect: Effect): number
  done(outboxId: number): void
  /** Drops every pending effect of an object. */
  cancel(kind: string, id: string): void
}
