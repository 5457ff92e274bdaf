import { errno } from './errno.ts'
import { putFilestat, rightRead, rightWrite } from './file-calls.ts'
import type { Call, Guest, Parameters } from './guest.ts'
import { mustBeDirectory, nodeAt, type Place, pathAt, walk } from './path.ts'
import type { Directory, File } from './tree.ts'

const openCreate = 1
const openDirectory = 2
const openExclusive = 4
const openTruncate = 8
const flagAppend = 1

/** The path that three parameters give: a directory's descriptor, a pointer, a length. */
const at = (guest: Guest, p: Parameters, fd: number, pointer: number): { readonly base: Directory; readonly path: string } => ({
  base: guest.descriptors.directory(p.i(fd)),
  path: pathAt(guest.memory, p.i(pointer), p.i(pointer + 1)),
})
const placeAt = (guest: Guest, p: Parameters, fd: number, pointer: number): Place & { readonly path: string } => {
  const { base, path } = at(guest, p, fd, pointer)
  return { ...walk(guest.tree, base, path), path }
}
const existingAt = (guest: Guest, p: Parameters, fd: number, pointer: number) => {
  const { base, path } = at(guest, p, fd, pointer)
  return nodeAt(guest.tree, base, path)
}
const writableParent = ({ parent }: Place): Directory => {
  if (parent === undefined) throw errno('busy')
  if (!parent.writable) throw errno('rofs')
  return parent
}

const open: Call[1] = (guest, p) => {
  const { memory, tree, descriptors } = guest
  const flags = p.i(4)
  const rights = p.I(5)
  const result = p.i(8)
  const [readable, writable] = [(rights & rightRead) !== 0n, (rights & rightWrite) !== 0n]
  const place = placeAt(guest, p, 0, 2)
  // Before anything is made: what cannot be answered must not happen.
  memory.setU32(result, 0)
  const openFile = (node: File) => {
    try {
      return descriptors.add({ kind: 'file', node, position: 0, append: (p.i(7) & flagAppend) !== 0, readable, writable })
    } catch (error) {
      tree.release(node)
      throw error
    }
  }
  if (place.node === undefined) {
    if ((flags & openCreate) === 0) throw errno('noent')
    if ((flags & openDirectory) !== 0 || mustBeDirectory(place.path)) throw errno('inval')
    memory.setU32(result, openFile(tree.createFile(writableParent(place), place.name)))
    return
  }
  if ((flags & openCreate) !== 0 && (flags & openExclusive) !== 0) throw errno('exist')
  const { node } = place
  if (node.kind === 'directory') {
    if ((flags & openTruncate) !== 0) throw errno('isdir')
    memory.setU32(result, descriptors.add({ kind: 'directory', node }))
    return
  }
  if ((flags & openDirectory) !== 0) throw errno('notdir')
  if (!node.writable && (writable || (flags & openTruncate) !== 0)) throw errno('rofs')
  tree.open(node)
  const fd = openFile(node)
  if ((flags & openTruncate) !== 0) tree.resize(node, 0)
  memory.setU32(result, fd)
}

const rename: Call[1] = (guest, p) => {
  const from = placeAt(guest, p, 0, 1)
  const to = placeAt(guest, p, 3, 4)
  if (from.node === undefined) throw errno('noent')
  writableParent(from)
  if (from.node.kind === 'file' && mustBeDirectory(to.path)) throw errno('notdir')
  guest.tree.rename(from.node, writableParent(to), to.name)
}

const refused: Call[1] = () => {
  throw errno('notsup')
}

export const pathCalls: Readonly<Record<string, Call>> = {
  path_open: ['iiiiiIIii', open],
  path_filestat_get: ['iiiii', (guest, p) => putFilestat(guest, p.i(4), existingAt(guest, p, 0, 2))],
  path_filestat_set_times: ['iiiiIIi', (guest, p) => void existingAt(guest, p, 0, 2)],
  path_create_directory: [
    'iii',
    (guest, p) => {
      const place = placeAt(guest, p, 0, 1)
      if (place.node !== undefined) throw errno('exist')
      guest.tree.createDirectory(writableParent(place), place.name)
    },
  ],
  path_unlink_file: [
    'iii',
    (guest, p) => {
      const place = placeAt(guest, p, 0, 1)
      if (place.node === undefined) throw errno('noent')
      if (place.node.kind === 'directory') throw errno('isdir')
      writableParent(place)
      guest.tree.unlink(place.node)
    },
  ],
  path_remove_directory: [
    'iii',
    (guest, p) => {
      const place = placeAt(guest, p, 0, 1)
      if (place.node === undefined) throw errno('noent')
      if (place.node.kind === 'file') throw errno('notdir')
      writableParent(place)
      guest.tree.removeDirectory(place.node)
    },
  ],
  path_rename: ['iiiiii', rename],
  path_readlink: [
    'iiiiii',
    (guest, p) => {
      existingAt(guest, p, 0, 1)
      throw errno('inval')
    },
  ],
  // There are no links: nothing can be made that points out of the mounts.
  path_link: ['iiiiiii', refused],
  path_symlink: ['iiiii', refused],
}
