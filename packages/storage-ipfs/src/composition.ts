import type { Reference } from '@skrei/job-spec'
import type { Blockstore } from './blockstore.ts'
import { loadNode, parseCid } from './dag-node.ts'
import { IpfsError } from './ipfs-error.ts'
import { readAhead } from './read-ahead.ts'
import type { Stored } from './stored.ts'
import { type BuildOptions, building, type DirectoryEntry, storeDirectory, type WritingOptions } from './tree-build.ts'

export interface CompositionEntry {
  readonly path: string
  readonly content: Reference | Uint8Array | AsyncIterable<Uint8Array>
}

/** A directory that is being put together; a `Map`, since names are anybody's text. */
type Folder = Map<string, Folder | Stored>

interface ReadingBuildOptions extends BuildOptions {
  /** Where what is referred to is read. */
  readonly blocks: Blockstore
}

const segmentsOf = (path: string): string[] => {
  const segments = path.split('/')
  if (path.includes('\0') || !path.isWellFormed() || segments.some((segment) => segment === '' || segment === '.' || segment === '..')) {
    throw new IpfsError('entry-invalid', `expected a plain relative path, got ${JSON.stringify(path.slice(0, 256))}`)
  }
  return segments
}

const storeContent = async (content: CompositionEntry['content'], options: ReadingBuildOptions & WritingOptions): Promise<Stored> => {
  if (content instanceof Uint8Array) return options.node.addFile([content], options.signal, options.write)
  if (Symbol.asyncIterator in content) return options.node.addFile(content, options.signal, options.write)
  if (content.type !== 'ipfs' || content.cid === undefined)
    throw new IpfsError('entry-invalid', `expected a reference of type ipfs with a cid, got one of type ${content.type}`)
  // Only the root block is read: it says how much hangs from it, which the links of a directory record.
  const node = await loadNode(options.blocks, parseCid(content.cid), options.signal)
  if (node.kind === 'file') throw new IpfsError('entry-invalid', `${content.cid} is a file; only published directories can be composed`)
  return { cid: node.cid, treeBytes: node.treeBytes }
}

const insert = (root: Folder, segments: readonly string[], stored: Stored): void => {
  let folder = root
  for (const [index, segment] of segments.entries()) {
    const found = folder.get(segment)
    const last = index === segments.length - 1
    if (found !== undefined && (last || !(found instanceof Map)))
      throw new IpfsError('entry-invalid', `two entries meet at ${JSON.stringify(segments.slice(0, index + 1).join('/'))}`)
    if (last) folder.set(segment, stored)
    else if (found instanceof Map) folder = found
    else {
      const made: Folder = new Map()
      folder.set(segment, made)
      folder = made
    }
  }
}

const storeFolder = async (folder: Folder, options: WritingOptions): Promise<Stored> => {
  const entries: DirectoryEntry[] = []
  for (const [name, content] of folder) entries.push({ name, ...(content instanceof Map ? await storeFolder(content, options) : content) })
  return storeDirectory(entries, options)
}

export interface CompositionOptions extends ReadingBuildOptions {
  readonly maxEntries: number
  /** Entries that are stored at the same time; with 1, the content of each is read to its end before the next entry is asked for. */
  readonly entriesAhead: number
}

/** Stores one directory made of references and files; of what is referred to, only root blocks are read. */
export const storeComposition = (entries: AsyncIterable<CompositionEntry>, options: CompositionOptions): Promise<Stored> =>
  building(options, (writing) => storeEntries(entries, { ...options, ...writing }))

const storeEntries = async (
  entries: AsyncIterable<CompositionEntry>,
  { maxEntries, entriesAhead, ...options }: CompositionOptions & WritingOptions,
): Promise<Stored> => {
  const root: Folder = new Map()
  let count = 0
  const storeEntry = async ({ path, content }: CompositionEntry) => ({ segments: segmentsOf(path), stored: await storeContent(content, options) })
  for await (const { segments, stored } of readAhead(entries, entriesAhead, storeEntry)) {
    count += 1
    if (count > maxEntries) throw new IpfsError('limit-exceeded', `a composition of more than ${maxEntries} entries (option maxEntries)`)
    insert(root, segments, stored)
  }
  return storeFolder(root, options)
}
