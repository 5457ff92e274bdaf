import { constants } from 'node:fs'
import { access, mkdir, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { idOfName, nameOfId } from './id-name.ts'
import { removeTree } from './remove-tree.ts'
import { systemCode } from './system-error.ts'
import { writeError } from './write-file.ts'

/** The folder of one execution: what this process knows of it, so that the disk is asked once, or not at all. */
export interface Folder {
  readonly path: string
  readonly publish: string
  readonly outputs: string
  /** Something of it may lie on the disk. */
  stored: boolean
  /** Directories that exist, because this process made them or found them. */
  made: Set<string>
  /** The directory of the file that was placed last: files come directory by directory. */
  placedIn: string | undefined
  /** Undefined until the disk was asked. */
  sealed: boolean | undefined
}

/** Makes a file that is not there; leaves one that is. */
const touch = async (path: string): Promise<void> => {
  try {
    await (await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o644)).close()
  } catch (error) {
    throw writeError(error)
  }
}

/** The folders of all executions in `directory`: read from the disk once, at the first question, and known from then on. */
export const executionFolders = (directory: string) => {
  const folders = new Map<string, Folder>()
  let reading: Promise<void> | undefined

  const folderOf = (id: string, stored: boolean): Folder => {
    const path = join(directory, nameOfId(id))
    const publish = join(path, 'publish')
    return { path, publish, outputs: join(publish, 'outputs'), stored, made: new Set(), placedIn: undefined, sealed: stored ? undefined : false }
  }

  const readAll = async (): Promise<void> => {
    let names: string[] = []
    try {
      names = await readdir(directory)
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error
    }
    for (const name of names.sort()) {
      const id = idOfName(name)
      if (id !== undefined) folders.set(id, folderOf(id, true))
    }
  }
  /** A directory that cannot be read now is read again with the next question. */
  const known = async (): Promise<void> => {
    reading ??= readAll()
    try {
      await reading
    } catch (error) {
      reading = undefined
      throw error
    }
  }

  /** Makes a directory that was not made yet. */
  const make = async (folder: Folder, path: string, { mode = 0o755, recursive = false } = {}): Promise<void> => {
    if (folder.made.has(path)) return
    try {
      await mkdir(path, { mode, recursive })
    } catch (error) {
      if (recursive || systemCode(error) !== 'EEXIST') throw writeError(error)
    }
    folder.made.add(path)
  }

  const sealFile = ({ path }: Folder): string => join(path, 'sealed')

  const self = {
    /** The folder of an id that was opened, by an earlier process too. */
    find: async (id: string): Promise<Folder | undefined> => {
      await known()
      return folders.get(id)
    },
    /** The same, and from now on it is. Nothing is made on the disk. */
    open: async (id: string): Promise<Folder> => {
      await known()
      const found = folders.get(id) ?? folderOf(id, false)
      folders.set(id, found)
      return found
    },
    ids: async (): Promise<readonly string[]> => {
      await known()
      return [...folders.keys()].sort()
    },
    make,
    touch,
    /** Makes the folder itself, for its owner only. */
    enter: async (folder: Folder): Promise<void> => {
      if (folder.made.has(folder.path)) return
      // Before anything is there, so that whatever comes of it is removed.
      folder.stored = true
      try {
        await make(folder, folder.path, { mode: 0o700 })
      } catch (error) {
        if (systemCode(error) !== 'ENOENT') throw error
        await mkdir(directory, { recursive: true, mode: 0o700 })
        await make(folder, folder.path, { mode: 0o700 })
      }
      if (folder.sealed === true) await touch(sealFile(folder))
    },
    isSealed: async (folder: Folder): Promise<boolean> => {
      if (folder.sealed === undefined) {
        const there = await access(sealFile(folder)).then(
          () => true,
          () => false,
        )
        folder.sealed ??= there
      }
      return folder.sealed
    },
    /** Of what holds nothing on the disk, no later process asks whether it is sealed. */
    seal: async (folder: Folder): Promise<void> => {
      if (folder.sealed === true) return
      if (folder.stored) await touch(sealFile(folder))
      folder.sealed = true
    },
    remove: async (id: string): Promise<void> => {
      await known()
      const folder = folders.get(id)
      if (folder?.stored) await removeTree(folder.path)
      folders.delete(id)
    },
  }
  return self
}
