import type { CID } from 'multiformats/cid'
import type { Blockstore } from './blockstore.ts'
import { type DagDirectory, loadNode, rawCode } from './dag-node.ts'
import { directoryHash } from './directory-hash.ts'
import { IpfsError } from './ipfs-error.ts'
import { readAhead } from './read-ahead.ts'
import { childrenOf, type Pending, type WalkLimits } from './tree-walk.ts'

/** Parts of a sharded directory that are read at the same time. */
const shardsAhead = 16

export interface FoundFile {
  readonly path: string
  readonly cid: CID
  /** Bytes, as the tree says. */
  readonly size: number
}

interface Reading extends WalkLimits {
  readonly blockstore: Blockstore
  /** Counts links that are followed, and throws where there are too many. */
  count(links: number): void
}

const loadPart = async (part: Pending, { blockstore, signal, count }: Reading): Promise<DagDirectory> => {
  const node = await loadNode(blockstore, part.cid, signal)
  if (node.kind !== 'shard') throw new IpfsError('dag-invalid', `${part.cid} is a part of a sharded directory but a ${node.kind}`)
  count(node.links.length)
  return node
}

/** All entries of a directory, in no order that can be relied on. */
const entriesOf = async (directory: Pending, node: DagDirectory, reading: Reading): Promise<Pending[]> => {
  const entries: Pending[] = []
  let parts: Pending[] = []
  const take = (children: readonly Pending[]) => {
    for (const child of children) (child.slots === undefined ? entries : parts).push(child)
  }
  take(await childrenOf(directory, node))
  const open = async (part: Pending) => childrenOf(part, await loadPart(part, reading))
  while (parts.length > 0) {
    const level = parts
    parts = []
    for await (const children of readAhead(level, shardsAhead, open)) take(children)
  }
  return entries
}

const slash = 0x2f

interface Item {
  readonly entry: Pending
  /** The path, with a slash behind it where it is known to be a directory and that matters. */
  readonly key: Buffer
}

/**
 * Entries in the order in which the paths of their files sort by bytes: a directory counts as its name with a slash. Which of them are directories is not known before they
 * are read; it matters only where another name goes on below the slash (`a-b` comes before what is in `a`).
 */
const sorted = async (entries: readonly Pending[], { blockstore, signal }: Reading): Promise<readonly Pending[]> => {
  const items: Item[] = entries.map((entry) => ({ entry, key: Buffer.from(entry.path) })).sort((left, right) => Buffer.compare(left.key, right.key))
  let moved = false
  for (const [index, { entry, key }] of items.entries()) {
    const next = items[index + 1]?.key
    if (next === undefined || !next.subarray(0, key.length).equals(key) || (next[key.length] ?? slash) >= slash || entry.cid.code === rawCode) continue
    if ((await loadNode(blockstore, entry.cid, signal)).kind === 'file') continue
    items[index] = { entry, key: Buffer.concat([key, Buffer.from('/')]) }
    moved = true
  }
  if (moved) items.sort((left, right) => Buffer.compare(left.key, right.key))
  return items.map(({ entry }) => entry)
}

/** The one entry of a directory with this name: of a sharded one, only the parts on the way to it are read. */
const entryNamed = async (directory: Pending, node: DagDirectory, name: string, reading: Reading): Promise<Pending | undefined> => {
  const path = directory.path === '' ? name : `${directory.path}/${name}`
  const hash = await directoryHash(name)
  let children = await childrenOf(directory, node)
  for (const slot of hash) {
    const part = children.find(({ slots }) => slots?.at(-1) === slot)
    if (part === undefined) break
    children = await childrenOf(part, await loadPart(part, reading))
  }
  return children.find((child) => child.slots === undefined && child.path === path)
}

/** The files at or below an entry. Holds the names of the directories on the way to the current file, never the tree. */
async function* filesBelow(start: Pending, reading: Reading): AsyncGenerator<FoundFile, void, undefined> {
  const { blockstore, signal, count } = reading
  const pending: Pending[] = [start]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    // The size of a raw block stands in its link, as in a walk.
    if (next.cid.code === rawCode && next.size !== undefined) {
      yield { path: next.path, cid: next.cid, size: next.size }
      continue
    }
    const node = await loadNode(blockstore, next.cid, signal)
    if (node.kind === 'file') {
      yield { path: next.path, cid: node.cid, size: node.size }
      continue
    }
    count(node.links.length)
    for (const child of (await sorted(await entriesOf(next, node, reading), reading)).toReversed()) pending.push(child)
  }
}

/** The segments of a path, or nothing where it is not plain and relative: there is nothing at such a path. */
const plainSegments = (path: string): readonly string[] | undefined => {
  const segments = path.split('/')
  return path.isWellFormed() && segments.every((segment) => segment !== '' && segment !== '.' && segment !== '..') ? segments : undefined
}

/** The files of a published tree in the order of the bytes of their paths; with a path, those at or below it, for which only the way there is read. */
export async function* readTree(
  blockstore: Blockstore,
  root: CID,
  path: string | undefined,
  { maxEntries, signal }: WalkLimits,
): AsyncGenerator<FoundFile, void, undefined> {
  let entries = 0
  const count = (links: number): void => {
    entries += links
    if (entries > maxEntries) throw new IpfsError('limit-exceeded', `${root} holds more than ${maxEntries} entries (option maxEntries)`)
  }
  const reading: Reading = { blockstore, maxEntries, signal, count }
  let node = await loadNode(blockstore, root, signal)
  if (node.kind === 'file') throw new IpfsError('dag-invalid', `${root} is a file, not a published directory`)
  const segments = path === undefined ? [] : plainSegments(path)
  if (segments === undefined) return
  let at: Pending = { cid: root, path: '' }
  for (const [index, segment] of segments.entries()) {
    count(node.links.length)
    const found = await entryNamed(at, node, segment, reading)
    if (found === undefined) return
    at = found
    if (index === segments.length - 1) break
    // A raw block is a file: nothing lies below it.
    if (at.cid.code === rawCode) return
    const below = await loadNode(blockstore, at.cid, signal)
    if (below.kind === 'file') return
    node = below
  }
  yield* filesBelow(at, reading)
}
