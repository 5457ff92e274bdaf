import { constants, type Dirent } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { chunkBytes } from './cid-profile.ts'
import { IpfsError } from './ipfs-error.ts'
import { readAhead } from './read-ahead.ts'
import type { Stored } from './stored.ts'
import { type BuildOptions, building, type DirectoryEntry, storeDirectory, type WritingOptions } from './tree-build.ts'

/** Files of one directory that are read at the same time. */
const filesAhead = 8

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const unsafe = (path: string, what: string) => new IpfsError('directory-unsafe', `cannot publish ${JSON.stringify(path)}: ${what}`)

const nameOf = (entry: Dirent<Buffer>, directory: string): string => {
  try {
    return utf8.decode(entry.name)
  } catch (error) {
    throw new IpfsError('directory-unsafe', `cannot publish ${JSON.stringify(directory)}: it holds a name that is not UTF-8`, { cause: error })
  }
}

async function* chunksOf(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  // O_NONBLOCK: opening a pipe that has no writer would wait for ever.
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((error: unknown) => {
    throw error instanceof Error && 'code' in error && error.code === 'ELOOP' ? unsafe(path, 'it is a link') : error
  })
  try {
    const found = await file.stat()
    if (!found.isFile()) throw unsafe(path, 'it is not a plain file')
    for (let at = 0; at < found.size; ) {
      signal.throwIfAborted()
      const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, found.size - at))
      for (let filled = 0; filled < chunk.byteLength; ) {
        const { bytesRead } = await file.read(chunk, filled, chunk.byteLength - filled, at + filled)
        if (bytesRead === 0) throw unsafe(path, 'it shrank while it was read')
        filled += bytesRead
      }
      at += chunk.byteLength
      yield chunk
    }
  } finally {
    await file.close()
  }
}

/** Stores a directory with all that is in it; refuses everything but plain files and directories. */
export const storeTree = (root: string, maxEntries: number, options: BuildOptions): Promise<Stored> =>
  building(options, (writing) => storeAll(root, maxEntries, writing))

const storeAll = async (root: string, maxEntries: number, options: WritingOptions): Promise<Stored> => {
  let entries = 0

  const storeOne = async (directory: string): Promise<Stored> => {
    options.signal.throwIfAborted()
    const found = await readdir(directory, { withFileTypes: true, encoding: 'buffer' })
    entries += found.length
    if (entries > maxEntries) throw new IpfsError('limit-exceeded', `${JSON.stringify(root)} holds more than ${maxEntries} entries (option maxEntries)`)
    const files: string[] = []
    const stored: DirectoryEntry[] = []
    for (const entry of found) {
      const name = nameOf(entry, directory)
      if (entry.isFile()) files.push(name)
      else if (entry.isDirectory()) stored.push({ name, ...(await storeOne(join(directory, name))) })
      else throw unsafe(join(directory, name), entry.isSymbolicLink() ? 'it is a link' : 'it is neither a file nor a directory')
    }
    const storeNamed = async (name: string): Promise<DirectoryEntry> => ({
      name,
      ...(await options.node.addFile(chunksOf(join(directory, name), options.signal), options.signal, options.write)),
    })
    for await (const file of readAhead(files, filesAhead, storeNamed)) stored.push(file)
    return storeDirectory(stored, options)
  }

  return storeOne(root)
}
