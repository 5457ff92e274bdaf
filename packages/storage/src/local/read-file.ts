import { constants, type Stats } from 'node:fs'
import { type FileHandle, lstat, open, readlink, realpath } from 'node:fs/promises'
import { systemCode } from './system-error.ts'

/** Reads of this size keep up with the disk; the 64 KiB of a stream halve it. */
export const chunkBytes = 1 << 20

/**
 * Opens a plain file that was looked at before, or undefined if another file, a link or a special file now stands there. The device and
 * inode are compared, so swapping the file, or a directory on the way to it, between the look and the open is noticed.
 * `O_NONBLOCK`: opening a pipe that was put there must not hang.
 */
export const openSame = async (absolute: string, seen: Stats): Promise<FileHandle | undefined> => {
  let handle: FileHandle
  try {
    handle = await open(absolute, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (['ENOENT', 'ELOOP', 'EMLINK', 'ENOTDIR', 'ENXIO'].includes(systemCode(error) ?? '')) return undefined
    throw error
  }
  try {
    const found = await handle.stat()
    const still = await lstat(absolute)
    if (found.isFile() && found.dev === seen.dev && found.ino === seen.ino && still.dev === seen.dev && still.ino === seen.ino) return handle
  } catch (error) {
    await handle.close()
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
  await handle.close()
  return undefined
}

/**
 * Whether an open file lies at this path, which holds no links: what the system says of the open file itself, where it does (Linux), since a
 * directory on the way may have been a link at the moment of every look. Elsewhere the path is looked at once more.
 */
export const liesAt = async (handle: FileHandle, real: string): Promise<boolean> => {
  try {
    return (await readlink(`/proc/self/fd/${handle.fd}`)) === real
  } catch {
    try {
      return (await realpath(real)) === real
    } catch {
      return false
    }
  }
}

/** The bytes of an open file from a position on, in chunks of at most 1 MiB that the caller may keep. Does not close it. */
export async function* chunksOf(handle: FileHandle, signal?: AbortSignal, from = 0): AsyncGenerator<Uint8Array, void, undefined> {
  let position = from
  const { size } = await handle.stat()
  while (true) {
    signal?.throwIfAborted()
    // One byte more than is left shows the end, or that the file has grown.
    const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, Math.max(size - position + 1, 1)))
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, position)
    if (bytesRead === 0) return
    position += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}
