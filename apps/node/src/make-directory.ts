import { existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { systemCode } from './cli-errors.ts'

/**
 * Makes a directory and those above it that are missing; returns the topmost that it made. Not `mkdirSync` with `recursive`: where a parent
 * answers ENOENT to every mkdir, as /proc does, that one never returns (seen on Node 24.21).
 */
export const makeDirectory = (path: string, mode = 0o777): string | undefined => {
  const missing: string[] = []
  for (let folder = path; !existsSync(folder) && folder !== dirname(folder); folder = dirname(folder)) missing.unshift(folder)
  for (const folder of missing) {
    try {
      mkdirSync(folder, { mode })
    } catch (error) {
      // Another process was quicker.
      if (systemCode(error) !== 'EEXIST') throw error
    }
  }
  return missing[0]
}
