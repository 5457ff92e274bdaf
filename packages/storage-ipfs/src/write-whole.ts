import { type FileHandle, open, rename, rm } from 'node:fs/promises'

/** Writes all of the bytes where the file stands: one call may write less. */
export const writeAll = async (file: FileHandle, bytes: Uint8Array): Promise<void> => {
  for (let at = 0; at < bytes.byteLength; ) at += (await file.write(bytes, at, bytes.byteLength - at)).bytesWritten
}

/** Writes a file so that a reader, or a restart after a crash, sees all of it or nothing. */
export const writeWhole = async (temporary: string, path: string, bytes: Uint8Array, sync: boolean): Promise<void> => {
  try {
    const file = await open(temporary, 'wx')
    try {
      await writeAll(file, bytes)
      if (sync) await file.datasync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}
