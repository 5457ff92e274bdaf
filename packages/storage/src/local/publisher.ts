import type { Stats } from 'node:fs'
import { link, lstat, mkdir, rename } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import type { Reference } from '@skrei/job-spec'
import type { AbortOptions, Publisher } from '../index.ts'
import { StorageError } from '../storage-error.ts'
import { fileCloner } from './clone-file.ts'
import { idOfName, nameOfId } from './id-name.ts'
import { keyedLock } from './keyed-lock.ts'
import { chunksOf, openSame } from './read-file.ts'
import { removeTree } from './remove-tree.ts'
import { systemCode } from './system-error.ts'
import { type FoundFile, walk } from './walk.ts'
import { writeFile } from './write-file.ts'

export interface LocalPublisherOptions {
  /** The absolute path of the folder that holds all that is published; made at the first publish. */
  readonly directory: string
}

const isDirectory = async (path: string): Promise<boolean> => {
  try {
    return (await lstat(path)).isDirectory()
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}

const refuse = (path: string, what: string) => new Error(`cannot publish ${path}: it ${what}`)
const refuseToRead = (path: string, what: string) => new Error(`cannot read ${path}: it ${what}`)

const isPlain = (path: string): boolean =>
  !path.includes('\0') && path.isWellFormed() && path.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..')

const checkedPath = (path: string): string => {
  if (!isPlain(path)) throw new StorageError('path-invalid', `expected a plain relative path, got ${JSON.stringify(path.slice(0, 200))}`)
  return path
}

const statOrNothing = async (path: string): Promise<Stats | undefined> => {
  try {
    return await lstat(path)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(systemCode(error) ?? '')) return undefined
    throw error
  }
}

/** The files at or below a path of a publication: every directory on the way there is looked at by itself, so that no link is followed. */
async function* filesAt(root: string, path: string, signal: AbortSignal | undefined): AsyncGenerator<FoundFile, void, undefined> {
  if (!isPlain(path)) return
  const segments = path.split('/')
  let absolute = root
  for (const [index, segment] of segments.entries()) {
    signal?.throwIfAborted()
    absolute = join(absolute, segment)
    const stat = await statOrNothing(absolute)
    if (stat === undefined) return
    if (stat.isDirectory()) continue
    if (!stat.isFile()) throw refuseToRead(path, 'leads through what is neither a file nor a directory')
    if (index === segments.length - 1) yield { path, absolute, stat }
    return
  }
  for await (const file of walk(absolute, { signal, refuse: refuseToRead })) yield { ...file, path: `${path}/${file.path}` }
}

async function* contentOf(file: FoundFile, { signal, from }: AbortOptions & { readonly from?: number } = {}): AsyncGenerator<Uint8Array, void, undefined> {
  signal?.throwIfAborted()
  const handle = await openSame(file.absolute, file.stat)
  if (handle === undefined) throw refuseToRead(file.path, 'was withdrawn or replaced')
  try {
    yield* chunksOf(handle, signal, from)
  } finally {
    await handle.close()
  }
}

/**
 * Publishes into a folder of this machine: `<directory>/<id>/…`, references are `{ type: 'local', path }`. What is published appears whole
 * or not at all (written beside, then renamed), is read-only, and is never changed: publishing the same id again answers the same
 * reference. `compose` makes hard links to the files it refers to, and copies where the file system refuses links: withdrawing the parts
 * does not harm the whole. References are believed only where they name something directly in the folder, since they come from other nodes.
 */
export const localPublisher = (options: LocalPublisherOptions): Publisher => {
  if (!isAbsolute(options.directory)) throw new TypeError(`localPublisher: expected an absolute path, got ${options.directory}`)
  const directory = resolve(options.directory)
  const inTurn = keyedLock()
  const clone = fileCloner()

  async function* copy(file: FoundFile, into: string, mode: number, signal: AbortSignal | undefined): AsyncGenerator<number, void, undefined> {
    const handle = await openSame(file.absolute, file.stat)
    if (handle === undefined) throw refuse(file.path, 'was replaced while it was read')
    try {
      let copied = 0
      if (await clone(handle, file.stat, into, mode)) {
        copied = file.stat.size
        yield copied
      } else for await (copied of writeFile(into, chunksOf(handle, signal), { maxBytes: Number.POSITIVE_INFINITY, hashes: [] }, file.path, mode)) yield copied
      if (copied !== file.stat.size) throw refuse(file.path, 'changed while it was read')
    } finally {
      await handle.close()
    }
  }

  const directories = (root: string) => {
    const made = new Set<string>()
    /** Makes the directories above a path; answers where it lies. */
    return async (path: string): Promise<string> => {
      const into = join(root, path)
      const parent = dirname(into)
      if (!made.has(parent)) await mkdir(parent, { recursive: true })
      made.add(parent)
      return into
    }
  }

  /** `fill` writes into an empty directory, which becomes `<directory>/<id>` when it is done. */
  const create = async (id: string, signal: AbortSignal | undefined, fill: (root: string) => Promise<void>): Promise<Reference> => {
    signal?.throwIfAborted()
    const name = nameOfId(id)
    const final = join(directory, name)
    const partial = join(directory, `.partial-${name}`)
    return await inTurn(id, async () => {
      signal?.throwIfAborted()
      if (await isDirectory(final)) return { type: 'local', path: final }
      await removeTree(partial)
      await mkdir(partial, { recursive: true })
      try {
        await fill(partial)
        await rename(partial, final)
      } catch (error) {
        await removeTree(partial)
        throw error
      }
      return { type: 'local', path: final }
    })
  }

  /** The directory that a reference names: only one that this publisher made, whatever its author wrote. */
  const published = async (reference: Reference): Promise<string> => {
    const path = reference.path ?? ''
    const own = reference.type === 'local' && path === join(directory, basename(path)) && idOfName(basename(path)) !== undefined
    if (!own || !(await isDirectory(path))) throw new StorageError('reference-invalid', `${reference.type} ${path.slice(0, 200)} is not published here`)
    return path
  }

  const linkOrCopy = async (file: FoundFile, into: string, signal: AbortSignal | undefined): Promise<void> => {
    try {
      await link(file.absolute, into)
    } catch (error) {
      if (systemCode(error) === 'EEXIST') throw error
      for await (const _bytes of copy(file, into, 0o444, signal));
    }
  }

  return {
    type: 'local',

    publish: (id, from, { signal }) =>
      create(id, signal, async (root) => {
        const place = directories(root)
        const entering = (path: string) => mkdir(join(root, path), { recursive: true })
        for await (const file of walk(from, { signal, refuse, entering })) for await (const _bytes of copy(file, await place(file.path), 0o444, signal));
      }),

    compose: (id, entries, { signal }) =>
      create(id, signal, async (root) => {
        const place = directories(root)
        const add = async (path: string, write: (into: string) => Promise<void>) => {
          signal?.throwIfAborted()
          try {
            await write(await place(path))
          } catch (error) {
            const code = systemCode(error)
            if (code === 'EEXIST' || code === 'ENOTDIR' || code === 'EISDIR') throw new StorageError('path-invalid', `${path} is there twice`, { cause: error })
            throw error
          }
        }
        for await (const { path, content } of entries) {
          const checked = checkedPath(path)
          if (content instanceof Uint8Array || Symbol.asyncIterator in content) {
            const chunks = content instanceof Uint8Array ? [content] : content
            const expected = { maxBytes: Number.POSITIVE_INFINITY, hashes: [] }
            await add(checked, async (into) => {
              for await (const _bytes of writeFile(into, chunks, expected, checked, 0o444)) signal?.throwIfAborted()
            })
            continue
          }
          const entering = async (path: string) => await mkdir(await place(`${checked}/${path}`), { recursive: true })
          for await (const file of walk(await published(content), { signal, refuse, entering })) {
            await add(`${checked}/${file.path}`, (into) => linkOrCopy(file, into, signal))
          }
        }
      }),

    fetch: async function* (reference, into, { signal }) {
      signal?.throwIfAborted()
      const place = directories(into)
      let before = 0
      const entering = (path: string) => mkdir(join(into, path), { recursive: true })
      for await (const file of walk(await published(reference), { signal, refuse, entering })) {
        for await (const bytes of copy(file, await place(file.path), 0o644, signal)) yield before + bytes
        before += file.stat.size
      }
    },

    read: async function* (reference, { signal, path }) {
      signal?.throwIfAborted()
      const root = await published(reference)
      const files = path === undefined ? walk(root, { signal, refuse: refuseToRead }) : filesAt(root, path, signal)
      for await (const file of files) yield { path: file.path, size: file.stat.size, content: (options) => contentOf(file, options) }
    },

    unpublish: async (id, { signal } = {}) => {
      signal?.throwIfAborted()
      const name = nameOfId(id)
      const removing = join(directory, `.removing-${name}`)
      await inTurn(id, async () => {
        await removeTree(removing)
        if (!(await isDirectory(join(directory, name)))) return
        await rename(join(directory, name), removing)
        await removeTree(removing)
      })
    },
  }
}
