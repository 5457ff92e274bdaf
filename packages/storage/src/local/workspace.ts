import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, unlink } from 'node:fs/promises'
import { dirname, isAbsolute, join } from 'node:path'
import { FailureError, type TreeEntry } from '@skrei/job-spec'
import type { StreamName, Workspace } from '../index.ts'
import { StorageError } from '../storage-error.ts'
import { executionFolders, type Folder } from './folders.ts'
import { nameOfId } from './id-name.ts'
import { keyedLock } from './keyed-lock.ts'
import { chunkBytes, chunksOf, openSame } from './read-file.ts'
import { removeTree } from './remove-tree.ts'
import { systemCode } from './system-error.ts'
import { type FoundFile, walk } from './walk.ts'
import { writeError } from './write-file.ts'

export interface LocalWorkspaceOptions {
  /** The absolute path of the folder that holds all executions; made when the first of them puts something there, with mode 700. */
  readonly directory: string
}

const unsafe = (path: string, what: string) => new FailureError('output-unsafe', `${path} ${what}`)

const treeEntry = (file: FoundFile): TreeEntry => ({
  path: file.path,
  size: file.stat.size,
  open: async function* (options = {}) {
    options.signal?.throwIfAborted()
    const handle = await openSame(file.absolute, file.stat)
    if (handle === undefined) throw unsafe(file.path, 'was replaced while it was read')
    try {
      let bytes = 0
      for await (const chunk of chunksOf(handle, options.signal)) {
        bytes += chunk.length
        if (bytes > file.stat.size) break
        yield chunk
      }
      if (bytes !== file.stat.size) throw unsafe(file.path, 'changed while it was read')
    } finally {
      await handle.close()
    }
  },
})

const missing = (error: unknown): undefined => {
  if (systemCode(error) === 'ENOENT') return undefined
  throw error
}

/**
 * A workspace in one folder: `<directory>/<id>/` with `inputs/`, `publish/{outputs/,stdout,stderr,evidence}` and, once sealed, `sealed`, each made when something is
 * put there. Only the owner of the process may enter an execution's directory. Survives the end of the process at any instant, not a power failure:
 * nothing is synchronised to the disk. Appends to one execution run one after the other; tails follow appends of the same workspace object. One object at a time
 * works in a folder: it remembers what it made.
 */
export const localWorkspace = (options: LocalWorkspaceOptions): Workspace => {
  const { directory } = options
  if (!isAbsolute(directory)) throw new TypeError(`localWorkspace: expected an absolute path, got ${directory}`)
  const inTurn = keyedLock()
  const folders = executionFolders(directory)
  const watchers = new Map<string, Set<() => void>>()

  const areaOf = (id: string, area: 'inputs' | 'files') => join(directory, nameOfId(id), area)
  const streamFile = ({ publish }: Folder, name: StreamName) => join(publish, name)
  const unknown = (id: string) => new StorageError('workspace-unknown', `${id} was not opened, or was removed`)
  const notify = (id: string) => {
    for (const wake of watchers.get(id) ?? []) wake()
  }
  const watch = (id: string, wake: () => void): Disposable => {
    const set = watchers.get(id) ?? new Set()
    watchers.set(id, set.add(wake))
    return {
      [Symbol.dispose]: () => {
        set.delete(wake)
        if (set.size === 0 && watchers.get(id) === set) watchers.delete(id)
      },
    }
  }

  const makePublish = async (folder: Folder) => {
    await folders.enter(folder)
    await folders.make(folder, folder.publish)
  }
  const makeOutputs = async (folder: Folder) => {
    await makePublish(folder)
    await folders.make(folder, folder.outputs)
  }

  /** To write; the stream's file is made, but for one that is sealed and has none. */
  const openStream = async (folder: Folder, name: StreamName, sealed: boolean): Promise<FileHandle | undefined> => {
    const file = streamFile(folder, name)
    if (sealed) return open(file, constants.O_WRONLY | constants.O_NOFOLLOW).catch(missing)
    await makePublish(folder)
    try {
      return await open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o644)
    } catch (error) {
      throw writeError(error)
    }
  }

  return {
    open: (id, outputNames = []) =>
      inTurn(id, async () => {
        const folder = await folders.open(id)
        const named = outputNames.map((name) => inside(folder.outputs, name)).filter((path) => !folder.made.has(path))
        if (named.length > 0) await makeOutputs(folder)
        for (const path of named) await folders.make(folder, path, { recursive: true })
        return { inputs: join(folder.path, 'inputs'), outputs: folder.outputs }
      }),

    place: (id, area, path) =>
      inTurn(id, async () => {
        const file = inside(areaOf(id, area), path)
        const into = dirname(file)
        const folder = await folders.open(id)
        await folders.enter(folder)
        if (folder.placedIn !== into) {
          try {
            await mkdir(into, { recursive: true, mode: 0o755 })
          } catch (error) {
            const code = systemCode(error)
            if (code === 'EEXIST' || code === 'ENOTDIR')
              throw new FailureError('source-invalid', `${path} would lie inside a file of the same input`, { cause: error })
            throw writeError(error)
          }
          folder.placedIn = into
        }
        try {
          await unlink(file)
        } catch (error) {
          if (systemCode(error) === 'ENOENT') return file
          // A directory lies there, perhaps with what was placed last in it.
          folder.placedIn = undefined
          await removeTree(file)
        }
        return file
      }),

    locate: (id, area, path) => inside(areaOf(id, area), path),

    receive: (id) =>
      inTurn(id, async () => {
        const folder = await folders.open(id)
        const { publish, stored } = folder
        await folders.enter(folder)
        if (stored) await removeTree(publish)
        folder.made = new Set([folder.path])
        await folders.make(folder, publish, { mode: 0o700 })
        return publish
      }),

    append: (id, name, offset, bytes) =>
      inTurn(id, async () => {
        const folder = await folders.find(id)
        if (folder === undefined) throw unknown(id)
        const sealed = await folders.isSealed(folder)
        const handle = await openStream(folder, name, sealed)
        try {
          const size = handle === undefined ? 0 : (await handle.stat()).size
          if (offset > size) throw new StorageError('append-gap', `${name} of ${id} has ${size} bytes, an append at ${offset} would leave a hole`)
          if (handle === undefined || sealed) {
            if (offset + bytes.length > size) throw new StorageError('workspace-sealed', `${name} of ${id} takes no more bytes`)
            return
          }
          for (let written = 0; written < bytes.length; ) {
            written += (await handle.write(bytes, written, bytes.length - written, offset + written)).bytesWritten
          }
        } catch (error) {
          throw writeError(error)
        } finally {
          await handle?.close()
        }
        notify(id)
      }),

    tail: async function* (id, name, from, { signal }) {
      if (signal?.aborted) return
      let changed = false
      let wake = () => {}
      const noticed = () => {
        changed = true
        wake()
      }
      using _watch = watch(id, noticed)
      const folder = await folders.find(id)
      if (folder === undefined) return
      let handle: FileHandle | undefined
      signal?.addEventListener('abort', noticed)
      try {
        let position = from
        while (!signal?.aborted) {
          changed = false
          // Looked at before the read: what was written before the seal is then read in any case.
          const ended = (await folders.isSealed(folder)) || (await folders.find(id)) !== folder
          if (folder.stored) handle ??= await open(streamFile(folder, name), constants.O_RDONLY | constants.O_NOFOLLOW).catch(missing)
          const { size, nlink } = (await handle?.stat()) ?? { size: 0, nlink: 1 }
          if (handle !== undefined && size > position) {
            const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, size - position))
            const { bytesRead } = await handle.read(buffer, 0, buffer.length, position)
            position += bytesRead
            if (bytesRead > 0) yield buffer.subarray(0, bytesRead)
            continue
          }
          if (ended || nlink === 0) return
          if (!changed) {
            await new Promise<void>((resolve) => {
              wake = resolve
            })
          }
        }
      } finally {
        signal?.removeEventListener('abort', noticed)
        await handle?.close()
      }
    },

    seal: (id) =>
      inTurn(id, async () => {
        const folder = await folders.find(id)
        if (folder !== undefined) await folders.seal(folder)
        notify(id)
      }),

    toPublish: (id) =>
      inTurn(id, async () => {
        const folder = await folders.open(id)
        await makeOutputs(folder)
        for (const name of ['stdout', 'stderr'] as const) await folders.touch(streamFile(folder, name))
        return folder.publish
      }),

    entries: async function* (id, { signal } = {}) {
      signal?.throwIfAborted()
      const folder = await folders.find(id)
      if (folder === undefined) throw unknown(id)
      if (!folder.stored) return
      for await (const file of walk(folder.outputs, { signal, refuse: unsafe, optional: true })) yield treeEntry(file)
    },

    remove: (id) =>
      inTurn(id, async () => {
        await folders.remove(id)
        notify(id)
      }),

    leftovers: async function* () {
      yield* await folders.ids()
    },
  }
}

/** A path below `root`, never outside it; the names come from a job or a source. */
const inside = (root: string, path: string): string => {
  const segments = path.split('/')
  if (path.includes('\0') || segments.some((segment) => segment === '' || segment === '.' || segment === '..')) {
    throw new FailureError('source-invalid', `"${path.slice(0, 200)}" is not a relative path without "." and ".." segments`)
  }
  return join(root, ...segments)
}
