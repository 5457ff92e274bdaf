import { errno } from './errno.ts'
import type { GuestMemory } from './guest-memory.ts'
import type { Directory, Node, Tree } from './tree.ts'

// As in Linux.
const longestPath = 4096
const longestName = 255

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()

export const pathAt = (memory: GuestMemory, pointer: number, length: number): string => {
  if (length > longestPath) throw errno('nametoolong')
  const bytes = memory.bytes(pointer, length)
  if (bytes.includes(0)) throw errno('inval')
  try {
    return decoder.decode(bytes)
  } catch {
    throw errno('ilseq')
  }
}

/** Where a path ends: at a node, or at a name that its directory has not. A path to the starting directory itself has no `parent`. */
export interface Place {
  readonly parent?: Directory
  readonly name: string
  readonly node?: Node
}

/** Walks a path from a directory. There is no way above that directory, nor from an absolute path. */
export const walk = (tree: Tree, base: Directory, path: string): Place => {
  if (path === '') throw errno('noent')
  if (path.startsWith('/')) throw errno('notcapable')
  const names = path.split('/').filter((name) => name !== '' && name !== '.')
  const above: Directory[] = []
  let current = base
  for (const [index, name] of names.entries()) {
    if (name === '..') {
      const parent = above.pop()
      if (parent === undefined) throw errno('notcapable')
      current = parent
      continue
    }
    if (name.length > longestName || encoder.encode(name).length > longestName) throw errno('nametoolong')
    const node = tree.entries(current).get(name)
    const last = index === names.length - 1
    if (last && (node === undefined || node.kind === 'file')) {
      if (node !== undefined && mustBeDirectory(path)) throw errno('notdir')
      return { parent: current, name, ...(node && { node }) }
    }
    if (node === undefined) throw errno('noent')
    if (node.kind === 'file') throw errno('notdir')
    above.push(current)
    current = node
  }
  const parent = above.at(-1)
  return { name: current.name, node: current, ...(parent && { parent }) }
}

export const mustBeDirectory = (path: string): boolean => /(^|\/)\.{0,2}$/.test(path)

/** The node at a path, which must be there. */
export const nodeAt = (tree: Tree, base: Directory, path: string): Node => {
  const { node } = walk(tree, base, path)
  if (node === undefined) throw errno('noent')
  return node
}
