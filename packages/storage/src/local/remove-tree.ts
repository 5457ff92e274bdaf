import { chmod, lstat, mkdtemp, readdir, rename, rmdir, unlink } from 'node:fs/promises'
import { systemCode } from './system-error.ts'

/** Beyond this length a directory is moved up before it is emptied. */
const longPath = 1024
const slash = Buffer.from('/')

const unlock = async (directory: Buffer): Promise<void> => {
  try {
    await chmod(directory, 0o700)
  } catch (error) {
    // Somebody else's directory: whether it can be emptied all the same will show.
    if (systemCode(error) !== 'EPERM') throw error
  }
}

/**
 * Removes a directory tree that a stranger's program has written: directories that may not be written or read, and trees nested deeper than
 * a path can name, included. Links are removed, not followed. A file is removed too; nothing there is no error.
 */
export const removeTree = async (root: string): Promise<void> => {
  const top = Buffer.from(root)
  try {
    if (!(await lstat(top)).isDirectory()) return await unlink(top)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return
    throw error
  }
  try {
    await removeDirectory(top, false)
  } catch (error) {
    // Most trees are not locked anywhere: only one that is costs a change of mode for each directory.
    if (systemCode(error) !== 'EACCES') throw error
    await removeDirectory(top, true)
  }
}

const removeDirectory = async (top: Buffer, locked: boolean): Promise<void> => {
  let moved: string | undefined
  let count = 0
  const stack: { readonly directory: Buffer; emptied: boolean }[] = [{ directory: top, emptied: false }]
  for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
    const { directory } = frame
    if (frame.emptied) {
      stack.pop()
      if (stack.length === 0 && moved !== undefined) await rmdir(moved)
      await rmdir(directory)
      continue
    }
    frame.emptied = true
    if (locked) await unlock(directory)
    for (const entry of await readdir(directory, { withFileTypes: true, encoding: 'buffer' })) {
      const path = Buffer.concat([directory, slash, entry.name])
      if (!entry.isDirectory()) {
        await unlink(path)
      } else if (path.length <= longPath) {
        stack.push({ directory: path, emptied: false })
      } else {
        await unlock(path)
        moved ??= await mkdtemp(`${top}/.moved-`)
        const flat = Buffer.from(`${moved}/${count}`)
        count += 1
        await rename(path, flat)
        stack.push({ directory: flat, emptied: false })
      }
    }
  }
}
