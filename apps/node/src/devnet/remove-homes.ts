import { readdirSync, rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { lockFile } from '../file-lock.ts'
import { homeAt } from '../home.ts'

/** What `layOut` calls them: whatever else lies beside them is not the network's. */
const homeName = /^node-\d+$/

/**
 * Removes the folder of a devnet whose parent is gone, as far as no node lives in it: each process of the network calls this when it ends, the last one finds all the others' homes free.
 */
export const removeHomes = (root: string): void => {
  for (const name of namesIn(root)) {
    if (!homeName.test(name)) continue
    const home = join(root, name)
    try {
      const lock = lockFile(homeAt(home).nodeLock, 0)
      if (lock === undefined) continue
      rmSync(home, { recursive: true, force: true, maxRetries: 5 })
      lock.release()
    } catch {
      // Another process of the network has just removed it.
    }
  }
  try {
    rmdirSync(root)
  } catch {
    // A node lives in it still, and removes it.
  }
}

const namesIn = (folder: string): readonly string[] => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
