import { errno } from './errno.ts'
import type { Directory, File, Node, Tree } from './tree.ts'

export type Descriptor =
  | { readonly kind: 'stdin'; readonly bytes: Uint8Array; position: number }
  | { readonly kind: 'output'; readonly stream: 'stdout' | 'stderr' }
  | OpenFile
  | { readonly kind: 'directory'; readonly node: Directory; readonly preopen?: string; snapshot?: readonly Listed[] }

export interface OpenFile {
  readonly kind: 'file'
  readonly node: File
  position: number
  append: boolean
  readable: boolean
  writable: boolean
}

export interface Listed {
  readonly name: string
  readonly node: Node
}

/** More than these open at once answer `mfile`. Each open file holds one of the host's. */
const most = 512

export interface Descriptors {
  get(fd: number): Descriptor
  file(fd: number): OpenFile
  directory(fd: number): Directory
  /** The lowest free number. */
  add(descriptor: Descriptor): number
  close(fd: number): void
  /** Moves `from` to `to`, which is closed. */
  renumber(from: number, to: number): void
  closeAll(): void
}

export const descriptorTable = (tree: Tree): Descriptors => {
  const table = new Map<number, Descriptor>()
  let lowest = 0
  const get = (fd: number): Descriptor => {
    const found = table.get(fd)
    if (found === undefined) throw errno('badf')
    return found
  }
  const close = (fd: number): void => {
    const found = get(fd)
    table.delete(fd)
    lowest = Math.min(lowest, fd)
    if (found.kind === 'file') tree.release(found.node)
  }
  return {
    get,
    file: (fd) => {
      const found = get(fd)
      if (found.kind === 'directory') throw errno('isdir')
      if (found.kind !== 'file') throw errno('spipe')
      return found
    },
    directory: (fd) => {
      const found = get(fd)
      if (found.kind !== 'directory') throw errno('notdir')
      return found.node
    },
    add: (descriptor) => {
      if (table.size >= most) throw errno('mfile')
      while (table.has(lowest)) lowest++
      table.set(lowest, descriptor)
      return lowest
    },
    close,
    renumber: (from, to) => {
      const moved = get(from)
      get(to)
      if (from === to) return
      close(to)
      table.delete(from)
      table.set(to, moved)
      lowest = Math.min(lowest, from)
    },
    closeAll: () => {
      for (const fd of [...table.keys()]) close(fd)
    },
  }
}
