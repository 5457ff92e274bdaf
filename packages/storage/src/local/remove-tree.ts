import { chmod, lstat, mkdtemp, readdir, rename, rm, rmdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { systemCode } from './system-error.ts'

const removeStubborn = async (root: string): Promise<void> => {
  await chmod(root, 0o700)
  const moved = await mkdtemp(join(root, '.moved-'))
  let count = 0
  const queue = [Buffer.from(root)]
  for (let directory = queue.pop(); directory !== undefined; directory = queue.pop()) {
    for (const entry of await readdir(directory, { withFileTypes: true, encoding: 'buffer' })) {
      const path = Buffer.concat([directory, Buffer.from('/'), entry.name])
      if (path.toString() === moved) continue
      if (!(await lstat(path)).isDirectory()) {
        await unlink(path)
        continue
      }
      await chmod(path, 0o700)
      const flat = Buffer.from(join(moved, String(count)))
      count += 1
      await rename(path, flat)
      queue.push(flat)
    }
    if (directory.toString() !== root) await rmdir(directory)
  }
  await rmdir(moved)
  await rmdir(root)
}

/**
 * Removes a directory tree that a stranger's program has written: directories that may not be written, and trees nested deeper than a
 * path can name, included. Those are taken apart by moving each directory up before it is emptied. Nothing there is no error.
 */
export const removeTree = async (root: string): Promise<void> => {
  try {
    await rm(root, { recursive: true, force: true })
  } catch {
    try {
      await removeStubborn(root)
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error
      await rm(root, { recursive: true, force: true })
    }
  }
}
