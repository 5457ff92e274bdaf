export const stateStoreErrors = {
  'store-locked': { cause: 'Another process, or another store of this one, has the file open.', remedy: 'Stop the other node, or use a folder of its own.' },
  'store-newer': { cause: 'The file was written by a newer release.', remedy: 'Update, or start with an empty folder.' },
  'store-corrupt': { cause: 'The file is not a state store, or is damaged.', remedy: 'Restore the folder from a copy, or start with an empty one.' },
  'store-closed': { cause: 'The store was disposed.', remedy: 'Open it again.' },
  reentrant: {
    cause: 'A transaction was begun inside another, or a read inside a transaction went around it.',
    remedy: 'Use the transaction that is given to the work.',
  },
  'invalid-data': { cause: 'Data is not plain JSON: undefined, a function, a date, NaN…', remedy: 'Store plain data only.' },
} as const

export type StateStoreErrorCode = keyof typeof stateStoreErrors

/** Callers branch on `code`. */
export class StateStoreError extends Error {
  override readonly name = 'StateStoreError'
  readonly code: StateStoreErrorCode

  constructor(code: StateStoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
