import { DatabaseSync } from 'node:sqlite'

export interface FileLock {
  release(): void
}

/**
 * Locks a file for this process, waiting up to `timeout` milliseconds; undefined where another process holds it. The operating system frees the lock when the process
 * ends, however it ends: no process id is ever compared. Node has no call for such a lock, SQLite has: an exclusive transaction on an empty database takes it.
 */
export const lockFile = (path: string, timeout: number): FileLock | undefined => {
  const database = new DatabaseSync(path, { timeout })
  try {
    database.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if (error instanceof Error && 'errcode' in error && error.errcode === 5) return undefined
    throw error
  }
  return { release: () => database.close() }
}
