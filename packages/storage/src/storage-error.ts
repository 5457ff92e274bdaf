/**
 * What a driver of this package throws when it was called wrongly, or when what it keeps was changed under it.
 * - `id-invalid`: an id that is empty, too long, or no well-formed string
 * - `workspace-unknown`: an append or a listing for an id that was never opened, or was removed
 * - `workspace-sealed`: an append of new bytes after `seal`
 * - `append-gap`: an append that would leave a hole before it
 * - `path-invalid`: a path given to `compose` that is not relative and plain, or is there twice
 * - `reference-invalid`: a reference that this publisher has not given out
 */
export type StorageErrorCode = 'id-invalid' | 'workspace-unknown' | 'workspace-sealed' | 'append-gap' | 'path-invalid' | 'reference-invalid'

export class StorageError extends Error {
  override readonly name = 'StorageError'
  readonly code: StorageErrorCode

  constructor(code: StorageErrorCode, detail: string, options?: ErrorOptions) {
    super(`${code}: ${detail}`, options)
    this.code = code
  }
}
