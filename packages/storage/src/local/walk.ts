import { isUtf8 } from 'node:buffer'
import type { Stats } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { systemCode } from './system-error.ts'

export interface FoundFile {
  /** Relative to the root, `/`-separated. */
  readonly path: string
  readonly absolute: string
  readonly stat: Stats
}

interface Item {
  readonly name: string
  readonly key: Buffer
  readonly directory: boolean
}

export interface WalkOptions {
  readonly signal?: AbortSignal | undefined
  /** The error to throw for what is neither a plain file nor a directory, or has a name that cannot be kept. */
  readonly refuse: (path: string, what: string) => Error
  /** Told of every directory beneath the root, before what lies in it: empty ones too. */
  readonly entering?: (path: string) => Promise<unknown>
  /** A root that does not exist holds no files. Default: it is an error. */
  readonly optional?: boolean
}

// PATH_MAX of Linux, its NUL included; macOS allows less and answers ENAMETOOLONG itself.
const maxPathBytes = 4095
const slash = Buffer.from('/')

const kind = (entry: { isFile(): boolean; isDirectory(): boolean; isSymbolicLink(): boolean }): 'file' | 'directory' | 'link' | 'special' =>
  entry.isFile() ? 'file' : entry.isDirectory() ? 'directory' : entry.isSymbolicLink() ? 'link' : 'special'

const refusedKinds = { link: 'is a symbolic link', special: 'is neither a file nor a directory' }

/**
 * The entries of one directory in the order in which the paths beneath them sort by bytes: a directory sorts as its name with a `/`,
 * so that `a-b` comes before `a/b` and `a.b` too, but `a0` after it.
 */
const sortedItems = async (absolute: string, prefix: string, options: WalkOptions): Promise<Item[]> => {
  const items: Item[] = []
  for (const entry of await readdir(absolute, { withFileTypes: true, encoding: 'buffer' })) {
    if (!isUtf8(entry.name)) throw options.refuse(`${prefix}${entry.name.toString('latin1')}`, 'has a name that is not UTF-8')
    const name = entry.name.toString()
    if (Buffer.byteLength(absolute) + 1 + entry.name.length > maxPathBytes) throw options.refuse(`${prefix}${name}`, 'has a path that is too long')
    const found = kind(entry)
    if (found === 'link' || found === 'special') throw options.refuse(`${prefix}${name}`, refusedKinds[found])
    const directory = found === 'directory'
    items.push({ name, directory, key: directory ? Buffer.concat([entry.name, slash]) : entry.name })
  }
  return items.sort((left, right) => Buffer.compare(left.key, right.key))
}

/**
 * Every plain file beneath a directory, sorted by the bytes of its whole relative path. Holds the names of the directories on the way
 * to the current file, never the tree. Links are not followed but refused, wherever they lead.
 */
export async function* walk(root: string, options: WalkOptions): AsyncGenerator<FoundFile, void, undefined> {
  const stack: { readonly absolute: string; readonly prefix: string; readonly items: Item[]; next: number }[] = []
  const enter = async (absolute: string, prefix: string) => {
    options.signal?.throwIfAborted()
    if (!(await lstat(absolute)).isDirectory()) throw options.refuse(prefix, 'was replaced while it was read')
    stack.push({ absolute, prefix, items: await sortedItems(absolute, prefix, options), next: 0 })
  }
  try {
    await enter(root, '')
  } catch (error) {
    if (options.optional === true && systemCode(error) === 'ENOENT') return
    throw error
  }
  for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
    const item = frame.items[frame.next]
    frame.next += 1
    if (item === undefined) {
      stack.pop()
      continue
    }
    const absolute = join(frame.absolute, item.name)
    const path = `${frame.prefix}${item.name}`
    if (item.directory) {
      await options.entering?.(path)
      await enter(absolute, `${path}/`)
      continue
    }
    options.signal?.throwIfAborted()
    const stat = await lstat(absolute)
    if (!stat.isFile()) throw options.refuse(path, 'was replaced while it was read')
    yield { path, absolute, stat }
  }
}
