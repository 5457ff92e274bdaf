import type { Descriptor, OpenFile } from './descriptor.ts'
import { errno } from './errno.ts'
import type { Call, Guest } from './guest.ts'
import { vectors } from './guest-memory.ts'
import type { Node } from './tree.ts'

// Numbers: https://github.com/WebAssembly/WASI/blob/wasi-0.1/preview1/docs.md
const typeCharacterDevice = 2
const typeDirectory = 3
const typeFile = 4
const flagAppend = 1
export const rightRead = 1n << 1n
const rightSeek = 1n << 2n
const rightTell = 1n << 5n
export const rightWrite = 1n << 6n
const allRights = (1n << 30n) - 1n

/** Every file is as old as every run. */
export const putFilestat = ({ memory, clock, tree }: Guest, at: number, described: Node | undefined): void => {
  memory.bytes(at, 64).fill(0)
  memory.setU64(at, 1n)
  memory.setU64(at + 8, described?.inode ?? 0n)
  memory.setU8(at + 16, described === undefined ? typeCharacterDevice : described.kind === 'directory' ? typeDirectory : typeFile)
  memory.setU64(at + 24, 1n)
  memory.setU64(at + 32, described?.kind === 'file' ? BigInt(tree.sizeOf(described)) : 0n)
  for (const time of [40, 48, 56]) memory.setU64(at + time, clock.epoch)
}

const nodeOf = (descriptor: Descriptor): Node | undefined => ('node' in descriptor ? descriptor.node : undefined)

const putFdstat: Call[1] = ({ memory, descriptors }, p) => {
  const found = descriptors.get(p.i(0))
  const at = p.i(1)
  memory.bytes(at, 24).fill(0)
  memory.setU8(at, found.kind === 'directory' ? typeDirectory : found.kind === 'file' ? typeFile : typeCharacterDevice)
  memory.setU16(at + 2, found.kind === 'file' && found.append ? flagAppend : 0)
  // C libraries take a character device that cannot seek for a terminal, and pass on each line at once: so that output arrives live.
  const rights =
    found.kind === 'file'
      ? allRights & ~(found.readable ? 0n : rightRead) & ~(found.writable ? 0n : rightWrite)
      : found.kind === 'directory'
        ? allRights & ~(rightSeek | rightTell | rightRead | rightWrite)
        : allRights & ~(rightSeek | rightTell | (found.kind === 'stdin' ? rightWrite : rightRead))
  memory.setU64(at + 8, rights)
  memory.setU64(at + 16, found.kind === 'directory' ? allRights : 0n)
}

/** A position that the host's numbers hold. */
const positionOf = (value: bigint): number => {
  if (value < 0n) throw errno('inval')
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw errno('fbig')
  return Number(value)
}

/** Reads until a buffer is not filled. */
const readInto = (guest: Guest, file: OpenFile, buffers: readonly Uint8Array[], from: number): number => {
  if (!file.readable) throw errno('badf')
  let total = 0
  for (const buffer of buffers) {
    const count = guest.tree.read(file.node, buffer, from + total)
    total += count
    if (count < buffer.length) break
  }
  return total
}

const writeFrom = (guest: Guest, file: OpenFile, buffers: readonly Uint8Array[], from: number): number => {
  if (!file.writable) throw errno('badf')
  let total = 0
  for (const buffer of buffers) {
    if (from + total + buffer.length > Number.MAX_SAFE_INTEGER) throw errno('fbig')
    const count = guest.tree.write(file.node, buffer, from + total)
    total += count
    if (count < buffer.length) break
  }
  return total
}

const read: Call[1] = (guest, p) => {
  const found = guest.descriptors.get(p.i(0))
  const buffers = vectors(guest.memory, p.i(1), p.i(2))
  let total = 0
  if (found.kind === 'file') {
    total = readInto(guest, found, buffers, found.position)
    found.position += total
  } else if (found.kind === 'stdin') {
    for (const buffer of buffers) {
      const part = found.bytes.subarray(found.position, found.position + buffer.length)
      buffer.set(part)
      found.position += part.length
      total += part.length
    }
  } else throw errno(found.kind === 'directory' ? 'isdir' : 'badf')
  guest.memory.setU32(p.i(3), total)
}

/** C libraries write a line and its end as two buffers: small ones are put together, so that they arrive together. */
const gathered = (buffers: readonly Uint8Array[]): readonly Uint8Array[] =>
  buffers.length > 1 && buffers.reduce((sum, { length }) => sum + length, 0) <= 65_536 ? [Buffer.concat(buffers)] : buffers

const write: Call[1] = (guest, p) => {
  const found = guest.descriptors.get(p.i(0))
  const buffers = vectors(guest.memory, p.i(1), p.i(2))
  // Before anything is written: what cannot be answered must not happen.
  guest.memory.setU32(p.i(3), 0)
  let total = 0
  if (found.kind === 'file') {
    if (found.append) found.position = guest.tree.sizeOf(found.node)
    total = writeFrom(guest, found, buffers, found.position)
    found.position += total
  } else if (found.kind === 'output') {
    for (const part of gathered(buffers)) {
      if (part.length > 0) guest.setup.output(found.stream, part)
      total += part.length
    }
  } else throw errno(found.kind === 'directory' ? 'isdir' : 'badf')
  guest.memory.setU32(p.i(3), total)
}

const seek: Call[1] = ({ memory, descriptors, tree }, p) => {
  const found = descriptors.file(p.i(0))
  const whence = p.i(2)
  if (whence > 2) throw errno('inval')
  const base = whence === 0 ? 0 : whence === 1 ? found.position : tree.sizeOf(found.node)
  const position = BigInt(base) + p.I(1)
  if (position < 0n) throw errno('inval')
  if (position > BigInt(Number.MAX_SAFE_INTEGER)) throw errno('overflow')
  memory.setU64(p.i(3), position)
  found.position = Number(position)
}

const direntBytes = 24

/** Entries from the cookie on, the last one cut where the buffer ends: a full buffer says that there is more. */
const readDirectory: Call[1] = ({ memory, descriptors, tree }, p) => {
  const found = descriptors.get(p.i(0))
  if (found.kind !== 'directory') throw errno('notdir')
  const cookie = BigInt.asUintN(64, p.I(3))
  if (cookie === 0n || found.snapshot === undefined) {
    const { node } = found
    found.snapshot = [{ name: '.', node }, { name: '..', node: node.parent ?? node }, ...tree.listed(node).map((entry) => ({ name: entry.name, node: entry }))]
  }
  const buffer = memory.bytes(p.i(1), p.i(2))
  memory.setU32(p.i(4), 0)
  let used = 0
  const { snapshot } = found
  for (let index = cookie < BigInt(snapshot.length) ? Number(cookie) : snapshot.length; index < snapshot.length && used < buffer.length; index++) {
    const listed = snapshot[index]
    if (listed === undefined) break
    const entry = dirent(BigInt(index + 1), listed.name, listed.node)
    const part = entry.subarray(0, buffer.length - used)
    buffer.set(part, used)
    used += part.length
  }
  memory.setU32(p.i(4), used)
}

const dirent = (next: bigint, name: string, node: Node): Uint8Array => {
  const text = new TextEncoder().encode(name)
  const entry = new Uint8Array(direntBytes + text.length)
  const view = new DataView(entry.buffer)
  view.setBigUint64(0, next, true)
  view.setBigUint64(8, node.inode, true)
  view.setUint32(16, text.length, true)
  view.setUint8(20, node.kind === 'directory' ? typeDirectory : typeFile)
  entry.set(text, direntBytes)
  return entry
}

const resizable = (guest: Guest, fd: number): OpenFile => {
  const file = guest.descriptors.file(fd)
  if (!file.writable) throw errno('badf')
  return file
}

const preopen = ({ descriptors }: Guest, fd: number): Uint8Array => {
  const found = descriptors.get(fd)
  if (found.kind !== 'directory' || found.preopen === undefined) throw errno('badf')
  return new TextEncoder().encode(found.preopen)
}

const exists: Call[1] = ({ descriptors }, p) => void descriptors.get(p.i(0))

export const fileCalls: Readonly<Record<string, Call>> = {
  fd_read: ['iiii', read],
  fd_write: ['iiii', write],
  fd_pread: [
    'iiiIi',
    (guest, p) => {
      const file = guest.descriptors.file(p.i(0))
      const buffers = vectors(guest.memory, p.i(1), p.i(2))
      guest.memory.setU32(p.i(4), readInto(guest, file, buffers, positionOf(p.I(3))))
    },
  ],
  fd_pwrite: [
    'iiiIi',
    (guest, p) => {
      const file = guest.descriptors.file(p.i(0))
      const buffers = vectors(guest.memory, p.i(1), p.i(2))
      guest.memory.setU32(p.i(4), 0)
      guest.memory.setU32(p.i(4), writeFrom(guest, file, buffers, positionOf(p.I(3))))
    },
  ],
  fd_seek: ['iIii', seek],
  fd_tell: ['ii', ({ memory, descriptors }, p) => memory.setU64(p.i(1), BigInt(descriptors.file(p.i(0)).position))],
  fd_close: ['i', ({ descriptors }, p) => descriptors.close(p.i(0))],
  fd_renumber: ['ii', ({ descriptors }, p) => descriptors.renumber(p.i(0), p.i(1))],
  fd_readdir: ['iiiIi', readDirectory],
  fd_prestat_get: [
    'ii',
    (guest, p) => {
      const { length } = preopen(guest, p.i(0))
      guest.memory.setU32(p.i(1), 0)
      guest.memory.setU32(p.i(1) + 4, length)
    },
  ],
  fd_prestat_dir_name: [
    'iii',
    (guest, p) => {
      const name = preopen(guest, p.i(0))
      if (p.i(2) < name.length) throw errno('nametoolong')
      guest.memory.bytes(p.i(1), name.length).set(name)
    },
  ],
  fd_fdstat_get: ['ii', putFdstat],
  fd_fdstat_set_flags: [
    'ii',
    ({ descriptors }, p) => {
      const found = descriptors.get(p.i(0))
      if (found.kind === 'file') found.append = (p.i(1) & flagAppend) !== 0
    },
  ],
  fd_fdstat_set_rights: [
    'iII',
    ({ descriptors }, p) => {
      const found = descriptors.get(p.i(0))
      if (found.kind !== 'file') return
      const [readable, writable] = [(p.I(1) & rightRead) !== 0n, (p.I(1) & rightWrite) !== 0n]
      if ((readable && !found.readable) || (writable && !found.writable)) throw errno('notcapable')
      found.readable = readable
      found.writable = writable
    },
  ],
  fd_filestat_get: ['ii', (guest, p) => putFilestat(guest, p.i(1), nodeOf(guest.descriptors.get(p.i(0))))],
  fd_filestat_set_size: ['iI', (guest, p) => guest.tree.resize(resizable(guest, p.i(0)).node, positionOf(p.I(1)))],
  fd_allocate: [
    'iII',
    (guest, p) => {
      const { node } = resizable(guest, p.i(0))
      const [offset, length] = [positionOf(p.I(1)), positionOf(p.I(2))]
      if (length === 0) throw errno('inval')
      const size = positionOf(BigInt(offset) + BigInt(length))
      if (size > guest.tree.sizeOf(node)) guest.tree.resize(node, size)
    },
  ],
  // Times are not kept: see putFilestat. What is written is in the host's hands at once.
  fd_filestat_set_times: ['iIIi', exists],
  fd_advise: ['iIIi', exists],
  fd_sync: ['i', exists],
  fd_datasync: ['i', exists],
}
