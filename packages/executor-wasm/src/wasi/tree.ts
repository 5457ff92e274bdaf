import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { errno } from './errno.ts'
import type { Quota } from './quota.ts'

/**
 * The guest's file system: a tree of nodes that only this module makes, over files of the host. A path of the guest is walked over the nodes, never
 * handed to the host; a node's host path consists of the mount's own path and of names that were checked or that the host itself listed. Links and
 * special files have no node, so they cannot be seen, followed or made; files are opened so that the host follows no link either.
 */
export type Node = Directory | File

export interface Directory {
  readonly kind: 'directory'
  readonly inode: bigint
  readonly writable: boolean
  parent: Directory | undefined
  name: string
  /** The host path, of a mount; of what lies below one it is made of its parent's. */
  readonly host?: string
  /** Exists for the guest only: the root, and what leads to a mount. */
  readonly synthetic: boolean
  /** Mounts in it, and what leads to them. */
  readonly grafted: Map<string, Node>
  children?: Map<string, Node>
  sorted?: readonly Node[]
}

export interface File {
  readonly kind: 'file'
  readonly inode: bigint
  readonly writable: boolean
  parent: Directory | undefined
  name: string
  readonly host?: string
  size: number | undefined
  handle: number | undefined
  users: number
}

export interface Mount {
  readonly path: string
  readonly at: string
  readonly writable: boolean
}

export interface Tree {
  readonly root: Directory
  /** In the order of the mounts: what each is at. */
  readonly mounted: readonly { readonly at: string; readonly node: Node }[]
  entries(directory: Directory): ReadonlyMap<string, Node>
  /** Sorted by the bytes of their names, so that every host lists alike. */
  listed(directory: Directory): readonly Node[]
  sizeOf(file: File): number
  open(file: File): void
  release(file: File): void
  read(file: File, into: Uint8Array, position: number): number
  write(file: File, bytes: Uint8Array, position: number): number
  resize(file: File, size: number): void
  createFile(parent: Directory, name: string): File
  createDirectory(parent: Directory, name: string): void
  unlink(file: File): void
  removeDirectory(directory: Directory): void
  rename(node: Node, parent: Directory, name: string): void
}

const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = constants

export const fileTree = (mounts: readonly Mount[], quota: Quota): Tree => {
  let inodes = 0n
  const directory = (name: string, parent: Directory | undefined, writable: boolean, host?: string, synthetic = false): Directory => {
    return { kind: 'directory', inode: ++inodes, name, parent, writable, synthetic, grafted: new Map(), ...(host !== undefined && { host }) }
  }
  const file = (name: string, parent: Directory | undefined, writable: boolean, host?: string): File => {
    return { kind: 'file', inode: ++inodes, name, parent, writable, size: undefined, handle: undefined, users: 0, ...(host !== undefined && { host }) }
  }
  /** In one go: joining level by level would take a guest's deep directories squared. */
  const hostPath = (node: Node): string => {
    const names: string[] = []
    let current = node
    while (current.host === undefined) {
      names.push(current.name)
      if (current.parent === undefined) throw errno('noent')
      current = current.parent
    }
    return [current.host, ...names.reverse()].join('/')
  }

  const children = (node: Directory): Map<string, Node> => {
    if (node.children !== undefined) return node.children
    const found = new Map<string, Node>()
    if (!node.synthetic) {
      for (const entry of readdirSync(hostPath(node), { withFileTypes: true }).sort((a, b) => byBytes(a.name, b.name))) {
        if (entry.isDirectory()) found.set(entry.name, directory(entry.name, node, node.writable))
        else if (entry.isFile()) found.set(entry.name, file(entry.name, node, node.writable))
      }
    }
    for (const [name, mount] of node.grafted) found.set(name, mount)
    node.children = found
    return found
  }
  const changed = (node: Directory): void => {
    delete node.sorted
  }
  const attach = (node: Node, parent: Directory, name: string): void => {
    children(parent).set(name, node)
    node.parent = parent
    node.name = name
    changed(parent)
  }
  const detach = (node: Node): void => {
    if (node.parent === undefined) return
    children(node.parent).delete(node.name)
    changed(node.parent)
    node.parent = undefined
  }
  /** What was unlinked while it was open holds its bytes until it is closed: they are still on the disk. */
  const forget = (node: File): void => {
    if (node.users > 0 || node.parent !== undefined) return
    quota.charge(-(node.size ?? 0))
    node.size = 0
  }
  const close = (node: File): void => {
    if (node.handle !== undefined) closeSync(node.handle)
    node.handle = undefined
  }
  const sizeOf = (node: File): number => {
    node.size ??= lstatSync(hostPath(node)).size
    return node.size
  }
  const handleOf = (node: File): number => {
    if (node.handle === undefined) throw errno('badf')
    return node.handle
  }
  const detachFile = (node: File): void => {
    sizeOf(node)
    detach(node)
    quota.chargeEntries(-1)
    forget(node)
  }
  const removable = (node: Node): Directory => {
    if (node.host !== undefined) throw errno('busy')
    if (node.parent === undefined || !node.parent.writable) throw errno('rofs')
    return node.parent
  }
  const count = (node: Directory): void => {
    for (const child of children(node).values()) {
      quota.chargeEntries(1)
      if (child.kind === 'directory') count(child)
      else quota.charge(sizeOf(child))
    }
  }

  const root = directory('', undefined, false, undefined, true)
  const mounted = mounts.map(({ path, at, writable }) => {
    const names = at.split('/').filter((name) => name !== '')
    const last = names.pop()
    if (last === undefined) throw new TypeError('a mount cannot be the root of the guest')
    let parent = root
    for (const name of names) {
      const next = children(parent).get(name) ?? directory(name, parent, false, undefined, true)
      if (next.kind === 'file') throw new TypeError(`a mount lies below a file: ${at}`)
      parent.grafted.set(name, next)
      delete parent.children
      parent = next
    }
    const stat = lstatSync(path)
    if (!stat.isDirectory() && !stat.isFile()) throw new TypeError(`a mount is neither a file nor a directory: ${path}`)
    const node = stat.isDirectory() ? directory(last, parent, writable, path) : file(last, parent, writable, path)
    parent.grafted.set(last, node)
    delete parent.children
    return { at, node }
  })
  for (const { node } of mounted) {
    if (!node.writable) continue
    if (node.kind === 'directory') count(node)
    else quota.charge(sizeOf(node))
  }

  return {
    root,
    mounted,
    entries: children,
    listed: (node) => {
      node.sorted ??= [...children(node).values()].sort((a, b) => byBytes(a.name, b.name))
      return node.sorted
    },
    sizeOf,
    open: (node) => {
      if (node.handle === undefined) {
        node.handle = openSync(hostPath(node), (node.writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK)
        const stat = fstatSync(node.handle)
        if (!stat.isFile()) {
          close(node)
          throw errno('noent')
        }
        if (!node.writable) node.size = stat.size
      }
      node.users++
    },
    release: (node) => {
      node.users--
      if (node.users > 0) return
      close(node)
      if (node.parent === undefined) forget(node)
    },
    read: (node, into, position) => (into.length === 0 ? 0 : readSync(handleOf(node), into, 0, into.length, position)),
    write: (node, bytes, position) => {
      if (bytes.length === 0) return 0
      const growth = Math.max(0, position + bytes.length - sizeOf(node))
      quota.charge(growth)
      const written = writeSync(handleOf(node), bytes, 0, bytes.length, position)
      const size = Math.max(sizeOf(node), position + written)
      quota.charge(size - sizeOf(node) - growth)
      node.size = size
      return written
    },
    resize: (node, size) => {
      quota.charge(size - sizeOf(node))
      ftruncateSync(handleOf(node), size)
      node.size = size
    },
    createFile: (parent, name) => {
      quota.chargeEntries(1)
      const node = file(name, parent, true)
      node.size = 0
      try {
        node.handle = openSync(hostPath(node), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644)
      } catch (error) {
        quota.chargeEntries(-1)
        throw error
      }
      node.users = 1
      attach(node, parent, name)
      return node
    },
    createDirectory: (parent, name) => {
      quota.chargeEntries(1)
      const node = directory(name, parent, true)
      try {
        mkdirSync(hostPath(node), 0o755)
      } catch (error) {
        quota.chargeEntries(-1)
        throw error
      }
      attach(node, parent, name)
    },
    unlink: (node) => {
      removable(node)
      unlinkSync(hostPath(node))
      detachFile(node)
    },
    removeDirectory: (node) => {
      removable(node)
      if (children(node).size > 0) throw errno('notempty')
      rmdirSync(hostPath(node))
      detach(node)
      quota.chargeEntries(-1)
    },
    rename: (node, parent, name) => {
      removable(node)
      if (!parent.writable) throw errno('rofs')
      for (let above: Directory | undefined = parent; above !== undefined; above = above.parent) if (above === node) throw errno('inval')
      const target = children(parent).get(name)
      if (target === node) return
      if (target !== undefined) {
        removable(target)
        if (node.kind === 'directory' && target.kind === 'file') throw errno('notdir')
        if (node.kind === 'file' && target.kind === 'directory') throw errno('isdir')
        if (target.kind === 'directory' && children(target).size > 0) throw errno('notempty')
      }
      renameSync(hostPath(node), `${hostPath(parent)}/${name}`)
      if (target?.kind === 'file') detachFile(target)
      else if (target !== undefined) {
        detach(target)
        quota.chargeEntries(-1)
      }
      detach(node)
      attach(node, parent, name)
    },
  }
}

/** The order of the names' UTF-8 bytes, which is the order of code points and not that of UTF-16. */
export const byBytes = (a: string, b: string): number => {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index++) {
    const [one, other] = [a.charCodeAt(index), b.charCodeAt(index)]
    if (one !== other) return surrogatesLast(one) - surrogatesLast(other)
  }
  return a.length - b.length
}
const surrogatesLast = (unit: number): number => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800)
