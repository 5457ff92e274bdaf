import { constants } from 'node:fs'
import { access, type FileHandle, lstat, mkdir, open, readdir } from 'node:fs/promises'
import { dirname, isAbsolute, join } from 'node:path'
import { FailureError, type TreeEntry } from '@skrei/job-spec'
import type { StreamName, Workspace } from '../index.ts'
import { StorageError } from '../storage-error.ts'
import { idOfName, nameOfId } from './id-name.ts'
import { keyedLock } from './keyed-lock.ts'
import { chunkBytes, chunksOf, openSame } from './read-file.ts'
import { removeTree } from './remove-tree.ts'
import { systemCode } from './system-error.ts'
import { type FoundFile, walk } from './walk.ts'
import { writeError } from './write-file.ts'

export interface LocalWorkspaceOptions {
  /** The absolute path of the folder that holds all executions; made at the first `open`, with mode 700. */
  readonly directory: string
}

const streamNames: readonly StreamName[] = ['stdout', 'stderr', 'evidence']

const exists = async (path: string): Promise<boolean> => {
  try {
    await access(path)
    return true
  } catch {
    return false
  }
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

/**
 * A workspace in one folder: `<directory>/<id>/` with `inputs/`, `publish/{outputs/,stdout,stderr}`, `evidence` and, once sealed, `sealed`.
 * Only the owner of the process may enter an execution's directory. Survives the end of the process at any instant, not a power failure:
 * nothing is synchronised to the disk. Appends to one execution run one after the other; tails follow appends of the same workspace object.
 */
export const localWorkspace = (options: LocalWorkspaceOptions): Workspace => {
  const { directory } = options
  if (!isAbsolute(directory)) throw new TypeError(`localWorkspace: expected an absolute path, got ${directory}`)
  const inTurn = keyedLock()
  const watchers = new Map<string, Set<() => void>>()

  const folder = (id: string) => join(directory, nameOfId(id))
  const streamFile = (id: string, name: StreamName) => (name === 'evidence' ? join(folder(id), name) : join(folder(id), 'publish', name))
  const sealFile = (id: string) => join(folder(id), 'sealed')
  const unknown = (id: string, cause: unknown) => new StorageError('workspace-unknown', `${id} was not opened, or was removed`, { cause })
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

  /** Makes the folder of an id, for its owner only. */
  const enter = async (id: string) => {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await mkdir(folder(id), { recursive: true, mode: 0o700 })
  }

  const touch = async (path: string) => {
    await (await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o644)).close()
  }

  return {
    open: (id, outputNames = []) =>
      inTurn(id, async () => {
        const root = folder(id)
        const publish = join(root, 'publish')
        const places = { inputs: join(root, 'inputs'), outputs: join(publish, 'outputs'), publish }
        await enter(id)
        await mkdir(places.inputs, { recursive: true, mode: 0o755 })
        await mkdir(places.outputs, { recursive: true, mode: 0o755 })
        for (const name of outputNames) await mkdir(inside(places.outputs, name), { recursive: true, mode: 0o755 })
        for (const name of streamNames) await touch(streamFile(id, name))
        return places
      }),

    place: (id, area, path) =>
      inTurn(id, async () => {
        const file = inside(join(folder(id), area), path)
        await enter(id)
        try {
          await mkdir(dirname(file), { recursive: true, mode: 0o755 })
        } catch (error) {
          const code = systemCode(error)
          if (code === 'EEXIST' || code === 'ENOTDIR')
            throw new FailureError('source-invalid', `${path} would lie inside a file of the same input`, { cause: error })
          throw writeError(error)
        }
        await removeTree(file)
        return file
      }),

    locate: (id, area, path) => inside(join(folder(id), area), path),

    receive: (id) =>
      inTurn(id, async () => {
        const publish = join(folder(id), 'publish')
        await removeTree(publish)
        await enter(id)
        await mkdir(publish, { recursive: true, mode: 0o700 })
        return publish
      }),

    append: (id, name, offset, bytes) =>
      inTurn(id, async () => {
        let handle: FileHandle
        try {
          handle = await open(streamFile(id, name), constants.O_WRONLY | constants.O_NOFOLLOW)
        } catch (error) {
          throw systemCode(error) === 'ENOENT' ? unknown(id, error) : error
        }
        try {
          const { size } = await handle.stat()
          if (offset > size) throw new StorageError('append-gap', `${name} of ${id} has ${size} bytes, an append at ${offset} would leave a hole`)
          if (await exists(sealFile(id))) {
            if (offset + bytes.length > size) throw new StorageError('workspace-sealed', `${name} of ${id} takes no more bytes`)
            return
          }
          for (let written = 0; written < bytes.length; ) {
            written += (await handle.write(bytes, written, bytes.length - written, offset + written)).bytesWritten
          }
        } catch (error) {
          throw writeError(error)
        } finally {
          await handle.close()
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
      let handle: FileHandle
      try {
        handle = await open(streamFile(id, name), constants.O_RDONLY | constants.O_NOFOLLOW)
      } catch (error) {
        if (systemCode(error) === 'ENOENT') return
        throw error
      }
      signal?.addEventListener('abort', noticed)
      try {
        let position = from
        while (!signal?.aborted) {
          changed = false
          // Looked at before the read: what was written before the seal is then read in any case.
          const sealed = await exists(sealFile(id))
          const { size, nlink } = await handle.stat()
          if (size > position) {
            const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, size - position))
            const { bytesRead } = await handle.read(buffer, 0, buffer.length, position)
            position += bytesRead
            if (bytesRead > 0) yield buffer.subarray(0, bytesRead)
            continue
          }
          if (sealed || nlink === 0) return
          if (!changed) {
            await new Promise<void>((resolve) => {
              wake = resolve
            })
          }
        }
      } finally {
        signal?.removeEventListener('abort', noticed)
        await handle.close()
      }
    },

    seal: (id) =>
      inTurn(id, async () => {
        try {
          await touch(sealFile(id))
        } catch (error) {
          if (systemCode(error) !== 'ENOENT') throw error
        }
        notify(id)
      }),

    entries: async function* (id, { signal } = {}) {
      signal?.throwIfAborted()
      const outputs = join(folder(id), 'publish', 'outputs')
      try {
        await lstat(outputs)
      } catch (error) {
        if (systemCode(error) !== 'ENOENT') throw error
        // What was received may hold no outputs at all; what was never opened is an error.
        if (await exists(join(folder(id), 'publish'))) return
        throw unknown(id, error)
      }
      for await (const file of walk(outputs, { signal, refuse: unsafe })) yield treeEntry(file)
    },

    remove: (id) =>
      inTurn(id, async () => {
        await removeTree(folder(id))
        notify(id)
      }),

    leftovers: async function* () {
      let names: string[]
      try {
        names = await readdir(directory)
      } catch (error) {
        if (systemCode(error) === 'ENOENT') return
        throw error
      }
      for (const name of names.sort()) {
        const id = idOfName(name)
        if (id !== undefined) yield id
      }
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
