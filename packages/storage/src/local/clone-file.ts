import { constants, type Stats } from 'node:fs'
import { chmod, copyFile, type FileHandle, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { systemCode } from './system-error.ts'

/**
 * Makes new files that share their blocks with an open one, on file systems that can (btrfs, XFS, ZFS …). Answers false, and leaves
 * nothing, where that is not possible; a pair of file systems that could not is not asked again.
 */
export const fileCloner = () => {
  const unable = new Set<string>()
  return async (from: FileHandle, seen: Stats, into: string, mode: number): Promise<boolean> => {
    // Only Linux gives an open file a path, and a path could by now be another file's.
    if (process.platform !== 'linux') return false
    const pair = `${seen.dev} ${(await stat(dirname(into))).dev}`
    if (unable.has(pair)) return false
    try {
      await copyFile(`/proc/self/fd/${from.fd}`, into, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE)
    } catch (error) {
      const code = systemCode(error)
      if (code === 'EEXIST' || code === 'ENOSPC') throw error
      unable.add(pair)
      return false
    }
    try {
      await chmod(into, mode)
    } catch (error) {
      await unlink(into)
      throw error
    }
    return true
  }
}
