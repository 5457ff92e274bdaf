export type StateStoreErrorCode =
  /** Another process, or another opening in this one, has the file. */
  | 'store-locked'
  /** The file was written by a newer version of this package. */
  | 'store-newer'
  /** The file is not a state store, or it is damaged. */
  | 'store-corrupt'
  /** The disk is full, the directory is missing or not writable, or a read or write failed. */
  | 'store-unavailable'
  /** Used after it was disposed, or after it failed in a way it cannot come back from. */
  | 'store-closed'
  /** `transact` or `read` was called from within another one. */
  | 'reentrant'
  /** A transaction or reader was used after its `work` had returned. */
  | 'transaction-ended'
  /** `work` returned a promise: a transaction is synchronous. Nothing was written. */
  | 'asynchronous'
  /** A value that cannot be stored as it is. */
  | 'invalid-data'

/** Callers branch on `code`. `path` says where in the argument an `invalid-data` stands. */
export class StateStoreError extends Error {
  override readonly name = 'StateStoreError'
  readonly code: StateStoreErrorCode
  readonly path?: string

  constructor(code: StateStoreErrorCode, message: string, options?: ErrorOptions & { readonly path?: string }) {
    super(message, options)
    this.code = code
    if (options?.path !== undefined) this.path = options.path
  }
}
