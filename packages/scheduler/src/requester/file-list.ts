import { cidOf, type FileEntry } from '@skrei/job-spec'

/**
 * A list of files, as it is named and moved: the files themselves, or, of a long one, the CIDs of the lists that make it up, in order.
 * The CID of a node names all that hangs from it, and no reader ever holds more than one node.
 */
export type ListNode = readonly FileEntry[] | { readonly lists: readonly string[] }

/** A node holds no more files, and weighs no more unless it is one file. */
export const filesPerNode = 1000
const weightPerNode = 256 * 1024
/** A node holds no more lists: a list of more than some ten million files is none that one node should stage. */
export const listsPerNode = 10_000

/** A list this short travels in the ask; a longer one is queried by whoever stages it. */
const inlineFiles = 32
const inlineWeight = 16_384

/** A list that was put together. `files`: all of it, where it is short. */
export interface FileList {
  readonly cid: string
  readonly files?: readonly FileEntry[]
}

/** Puts a list together file by file; what is longer than short goes out node by node through `keep`. Holds one node of files at most. */
export interface FileListBuilder {
  readonly size: number
  add(file: FileEntry): void
  /** The list so far; the builder is empty then. Throws a RangeError where it is too long. */
  end(): FileList
}

export const fileListBuilder = (keep: (cid: string, node: ListNode) => void): FileListBuilder => {
  let files: FileEntry[] = []
  let weight = 0
  let lists: string[] = []
  let size = 0

  const close = (): string => {
    const cid = cidOf(files)
    keep(cid, files)
    files = []
    weight = 0
    return cid
  }

  return {
    get size() {
      return size
    },
    add: (file) => {
      const more = weightOf(file)
      if (files.length > 0 && (files.length >= filesPerNode || weight + more > weightPerNode)) {
        if (lists.length >= listsPerNode) throw new RangeError(`a list of more than ${size} files`)
        lists.push(close())
      }
      files.push(file)
      weight += more
      size++
    },
    end: () => {
      const [all, weighed, before] = [files, weight, lists]
      files = []
      weight = 0
      lists = []
      size = 0
      const cid = cidOf(all)
      if (before.length === 0 && isShort(all.length, weighed)) return { cid, files: all }
      keep(cid, all)
      if (before.length === 0) return { cid }
      const root = { lists: [...before, cid] }
      const rootCid = cidOf(root)
      keep(rootCid, root)
      return { cid: rootCid }
    },
  }
}

/** Two lists one after the other: one short list, or a node that names both. */
export const concatenated = (one: FileList, other: FileList): FileList & { readonly lists?: readonly [string, string] } => {
  if (one.files !== undefined && other.files !== undefined) {
    const files = [...one.files, ...other.files]
    if (
      isShort(
        files.length,
        files.reduce((sum, file) => sum + weightOf(file), 0),
      )
    )
      return { cid: cidOf(files), files }
  }
  const lists = [one.cid, other.cid] as const
  return { cid: cidOf({ lists }), lists }
}

const isShort = (files: number, weight: number): boolean => files <= inlineFiles && weight <= inlineWeight

/** About as many characters as the file takes as JSON, without writing it. */
const weightOf = ({ path, source, hash }: FileEntry): number => {
  let weight = 64 + path.length + (hash?.length ?? 0)
  for (const key in source) {
    const value = (source as Readonly<Record<string, unknown>>)[key]
    weight += key.length + (typeof value === 'string' ? value.length + 6 : JSON.stringify(value).length)
  }
  return weight
}

/** No honest list has more nodes; one that names the same list many times would be endless. */
const mostNodes = 2 * listsPerNode + 3

/** Walks a list from its CID, a node of files at a time, in order. Every node is checked against the CID that names it: `fetch` may come from a stranger. */
export async function* walkList(cid: string, fetch: (cid: string) => Promise<ListNode>): AsyncGenerator<readonly FileEntry[], void, undefined> {
  const waiting = [cid]
  let nodes = 0
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (++nodes > mostNodes) throw new Error(`the manifest has more than ${mostNodes} lists`)
    const node = await fetch(next)
    if (cidOf(node) !== next) throw new Error('the files that the requester named are not those of the manifest')
    if (!('lists' in node)) yield node
    else if (waiting.length + node.lists.length > mostNodes) throw new Error(`the manifest has more than ${mostNodes} lists`)
    else for (const list of node.lists.toReversed()) waiting.push(list)
  }
}
