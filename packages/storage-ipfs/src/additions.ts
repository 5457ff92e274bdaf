import type { AbortOptions } from '@skrei/storage'
import type { AddedBytes } from './added-bytes.ts'
import { storeComposition } from './composition.ts'
import { IpfsError } from './ipfs-error.ts'
import type { OpenOperation } from './open-operation.ts'

export interface AddOptions extends AbortOptions {
  /** The most bytes of content that are taken, of all files together: more is `limit-exceeded`. */
  readonly maxBytes: number
}

/** What was added. */
export interface Added {
  readonly cid: string
  /** Bytes of content. */
  readonly bytes: number
}

/** A file to be added: the content is read once, to its end, before the next file is asked for. */
export interface FileToAdd {
  /** Relative and plain: no empty, `.` or `..` segment. */
  readonly path: string
  readonly content: AsyncIterable<Uint8Array>
}

export interface Additions {
  /** Stores a file; it has the CID that it has in a directory that is published. Of one that is refused, some blocks may stay. Rejects with `storage-full` where there is no room. */
  add(content: AsyncIterable<Uint8Array>, options: AddOptions): Promise<Added>
  /** Stores a directory of files, given in any order; it has the CID of the same files published. A path that is not plain, or is there twice, is `entry-invalid`. */
  addDirectory(files: AsyncIterable<FileToAdd>, options: AddOptions): Promise<Added>
}

/** Counts what passes, and ends it where it is too much. */
const meter = (maxBytes: number) => {
  let bytes = 0
  return {
    bytes: () => bytes,
    async *pass(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
      for await (const chunk of content) {
        bytes += chunk.byteLength
        if (bytes > maxBytes) throw new IpfsError('limit-exceeded', `more than ${maxBytes} bytes were to be added`)
        yield chunk
      }
    },
  }
}

interface AdditionsParts {
  readonly open: OpenOperation
  readonly added: AddedBytes
  readonly maxEntries: number
}

const isDiskFull = (error: unknown): boolean => error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')

export const additions = ({ open, added, maxEntries }: AdditionsParts): Additions => {
  /** What was written stays, also of what failed. */
  const counted = async <T>(addition: () => Promise<T>): Promise<T> => {
    try {
      const result = await addition()
      await added.keep()
      return result
    } catch (error) {
      await added.keep().catch(() => undefined)
      throw isDiskFull(error) ? new IpfsError('storage-full', 'the disk is full', { cause: error }) : error
    }
  }
  return {
    add: async (content, options) => {
      const { signal, node } = open(options)
      const { bytes, pass } = meter(options.maxBytes)
      const { cid } = await counted(() => node.asking(added.take).addFile(pass(content), signal))
      signal.throwIfAborted()
      return { cid: cid.toString(), bytes: bytes() }
    },

    addDirectory: async (files, options) => {
      const { signal, node, blocks } = open(options)
      const { bytes, pass } = meter(options.maxBytes)
      async function* metered() {
        for await (const { path, content } of files) yield { path, content: pass(content) }
      }
      const { cid } = await counted(() => storeComposition(metered(), { node: node.asking(added.take), signal, blocks, maxEntries, entriesAhead: 1 }))
      signal.throwIfAborted()
      return { cid: cid.toString(), bytes: bytes() }
    },
  }
}
