import type { PBLink } from '@ipld/dag-pb'
import type { CID } from 'multiformats/cid'
import type { Blockstore } from './blockstore.ts'
import { type DagDirectory, type DagNode, loadNode, rawCode } from './dag-node.ts'
import { directoryHash, maxShardDepth, slotLabel } from './directory-hash.ts'
import { IpfsError } from './ipfs-error.ts'

export type TreeItem =
  | { readonly type: 'directory'; readonly path: string }
  /** `size` in bytes, as the tree says. */
  | { readonly type: 'file'; readonly path: string; readonly cid: CID; readonly size: number }

export interface Pending {
  readonly cid: CID
  readonly path: string
  readonly size?: number
  /** Set for a part of a sharded directory: the slots that led to it. */
  readonly slots?: readonly number[]
}

const maxPathBytes = 4096
/** Nodes that are loaded before it is their turn. */
const loadedAhead = 16

/** Refuses a name that is none: such a name would leave its directory or hide another. */
const checkName = (name: string, where: string): void => {
  if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0')) {
    throw new IpfsError('dag-invalid', `${where} holds an entry named ${JSON.stringify(name.slice(0, 128))}`)
  }
}

const childOf = (parent: Pending, name: string, link: PBLink): Pending => {
  checkName(name, `directory ${JSON.stringify(parent.path.slice(-128))}`)
  const path = parent.path === '' ? name : `${parent.path}/${name}`
  if (Buffer.byteLength(path) > maxPathBytes)
    throw new IpfsError('dag-invalid', `a path is longer than ${maxPathBytes} bytes: ${JSON.stringify(path.slice(0, 128))}…`)
  return { cid: link.Hash, path, ...(Number.isSafeInteger(link.Tsize) && link.Tsize !== undefined && { size: link.Tsize }) }
}

const flatChildren = (parent: Pending, node: DagDirectory): Pending[] => {
  const names = new Set<string>()
  return node.links.map((link) => {
    const name = link.Name ?? ''
    if (names.has(name)) throw new IpfsError('dag-invalid', `two entries of one name: ${JSON.stringify(`${parent.path}/${name}`.slice(-256))}`)
    names.add(name)
    return childOf(parent, name, link)
  })
}

/** Each name must stand where its hash puts it: so no name can come twice, without remembering all names of a large directory. */
const shardChildren = async (parent: Pending, node: DagDirectory): Promise<Pending[]> => {
  const above = parent.slots ?? []
  if (above.length >= maxShardDepth) throw new IpfsError('dag-invalid', `directory shard ${node.cid} lies too deep`)
  const children: Pending[] = []
  let last = -1
  for (const link of node.links) {
    const label = link.Name ?? ''
    const slot = /^[0-9A-F]{2}/.test(label) ? Number.parseInt(label.slice(0, 2), 16) : -1
    if (slot <= last)
      throw new IpfsError(
        'dag-invalid',
        `directory shard ${node.cid} has an entry labelled ${JSON.stringify(label.slice(0, 128))}, which is no slot or out of order`,
      )
    last = slot
    const slots = [...above, slot]
    if (label.length === 2) {
      children.push({ cid: link.Hash, path: parent.path, slots })
      continue
    }
    const name = label.slice(2)
    const hash = await directoryHash(name)
    if (slots.some((wanted, level) => hash[level] !== wanted)) {
      throw new IpfsError(
        'dag-invalid',
        `entry ${JSON.stringify(name.slice(0, 128))} of directory shard ${node.cid} stands at ${slots.map(slotLabel).join('')}, not where its name belongs`,
      )
    }
    children.push(childOf(parent, name, link))
  }
  return children
}

/** What the links of a directory, or of a part of a sharded one, lead to: entries, and parts. */
export const childrenOf = async (parent: Pending, node: DagDirectory): Promise<Pending[]> =>
  node.kind === 'shard' ? await shardChildren(parent, node) : flatChildren(parent, node)

export interface WalkLimits {
  /** Links that are followed, parts of sharded directories included. */
  readonly maxEntries: number
  readonly signal: AbortSignal
}

/** The size of a raw block stands in its link: a directory of many small files is listed without reading them. */
const sizeInLink = (entry: Pending): entry is Pending & { readonly size: number } =>
  entry.cid.code === rawCode && entry.size !== undefined && entry.slots === undefined

/** Gives the node of an entry, and begins to load those of the ones that come next: each may come from afar. The first entry's is known. */
const nodesAhead = (pending: readonly Pending[], first: DagNode, load: (cid: CID) => Promise<DagNode>): ((entry: Pending) => Promise<DagNode>) => {
  const loading = new Map<Pending, Promise<DagNode>>()
  for (const entry of pending) loading.set(entry, Promise.resolve(first))
  const begin = (entry: Pending): Promise<DagNode> => {
    const begun = loading.get(entry) ?? load(entry.cid)
    // It is awaited in its turn, or not at all where the walk ends before.
    begun.catch(() => undefined)
    loading.set(entry, begun)
    return begun
  }
  return async (entry) => {
    const node = begin(entry)
    loading.delete(entry)
    for (const next of pending.slice(-loadedAhead)) if (!sizeInLink(next)) void begin(next)
    return await node
  }
}

/** Every directory (parents first) and file under a directory. A DAG has no cycles but can be exponentially wide: `maxEntries` ends it. */
export async function* walkTree(blockstore: Blockstore, root: DagDirectory, { maxEntries, signal }: WalkLimits): AsyncGenerator<TreeItem, void, undefined> {
  const pending: Pending[] = [{ cid: root.cid, path: '' }]
  // What is still being loaded when the walk ends is not wanted any more.
  const ended = new AbortController()
  const loadSignal = AbortSignal.any([signal, ended.signal])
  const nodes = nodesAhead(pending, root, (cid) => loadNode(blockstore, cid, loadSignal))
  try {
    yield* walkFrom(root.cid, pending, nodes, maxEntries)
  } finally {
    ended.abort()
  }
}

async function* walkFrom(
  root: CID,
  pending: Pending[],
  nodes: (entry: Pending) => Promise<DagNode>,
  maxEntries: number,
): AsyncGenerator<TreeItem, void, undefined> {
  let entries = 0
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (sizeInLink(next)) {
      yield { type: 'file', path: next.path, cid: next.cid, size: next.size }
      continue
    }
    const node = await nodes(next)
    if (next.slots !== undefined && node.kind !== 'shard') throw new IpfsError('dag-invalid', `${next.cid} is a part of a sharded directory but a ${node.kind}`)
    if (node.kind === 'file') {
      yield { type: 'file', path: next.path, cid: node.cid, size: node.size }
      continue
    }
    if (next.slots === undefined && next.path !== '') yield { type: 'directory', path: next.path }
    entries += node.links.length
    if (entries > maxEntries) throw new IpfsError('limit-exceeded', `${root} holds more than ${maxEntries} entries (option maxEntries)`)
    for (const child of (await childrenOf(next, node)).reverse()) pending.push(child)
  }
}
