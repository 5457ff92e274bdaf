import { randomUUID } from 'node:crypto'
import { access, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { base32upper } from 'multiformats/bases/base32'
import type { CID } from 'multiformats/cid'
import { IpfsError } from './ipfs-error.ts'
import { writeWhole } from './write-whole.ts'

export interface BlockOptions {
  readonly signal?: AbortSignal
  /** For which operation a block is asked for: what is fetched for one keeps no other from its turn. */
  readonly session?: object
}

/**
 * Where blocks are kept: the part of `interface-blockstore` 7 that is used here, so that the `blockstore` of a helia node is one.
 * `get` of a block that is not there throws. What `get` gives is checked against the CID.
 */
export interface Blockstore {
  get(cid: CID, options?: BlockOptions): Generator<Uint8Array> | AsyncGenerator<Uint8Array>
  /** Whether the block is held here, without asking a network. */
  has(cid: CID, options?: BlockOptions): boolean | Promise<boolean>
  put(cid: CID, bytes: Uint8Array, options?: BlockOptions): CID | Promise<CID>
}

interface FsBlockstore extends Blockstore {
  start(): Promise<void>
}

interface FsBlockstoreOptions {
  readonly directory: string
  /** Flush each block to the disk before `put` resolves, so that it survives a power cut, not only a crash of the process. */
  readonly sync: boolean
}

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT'
const dayMs = 86_400_000

/** What writers that died left behind; a file of a writer that lives is younger than a day. Ages are compared by the file system's own clock. */
const removeStale = async (directory: string): Promise<void> => {
  const probe = join(directory, randomUUID())
  await writeFile(probe, '')
  const now = (await stat(probe)).mtimeMs
  await rm(probe, { force: true })
  for (const name of await readdir(directory)) {
    const path = join(directory, name)
    const found = await stat(path).catch(() => undefined)
    if (found !== undefined && now - found.mtimeMs > dayMs) await rm(path, { force: true })
  }
}

/**
 * One file a block, named and placed as kubo's flatfs does (`blocks/XX/<multihash in base32>.data`, by the next-to-last two characters). Writers in any number of
 * processes may share the directory: a block is written beside and renamed into place, and two writers of one block write the same bytes.
 */
export const fsBlockstore = ({ directory, sync }: FsBlockstoreOptions): FsBlockstore => {
  const blocks = join(directory, 'blocks')
  const temporaries = join(directory, 'tmp')
  const made = new Set<string>()

  const place = (cid: CID) => {
    const name = base32upper.baseEncode(cid.multihash.bytes)
    const folder = join(blocks, name.slice(-3, -1))
    return { folder, path: join(folder, `${name}.data`) }
  }

  return {
    start: async () => {
      await mkdir(blocks, { recursive: true })
      await mkdir(temporaries, { recursive: true })
      await removeStale(temporaries)
    },
    get: async function* (cid, options) {
      options?.signal?.throwIfAborted()
      try {
        yield await readFile(place(cid).path)
      } catch (error) {
        if (isMissing(error)) throw new IpfsError('block-missing', `block ${cid} is not held here`, { cause: error })
        throw error
      }
    },
    has: async (cid, options) => {
      options?.signal?.throwIfAborted()
      return access(place(cid).path).then(
        () => true,
        (error: unknown) => {
          if (isMissing(error)) return false
          throw error
        },
      )
    },
    put: async (cid, bytes, options) => {
      options?.signal?.throwIfAborted()
      const { folder, path } = place(cid)
      if (!made.has(folder)) await mkdir(folder, { recursive: true })
      made.add(folder)
      await writeWhole(join(temporaries, randomUUID()), path, bytes, sync)
      return cid
    },
  }
}
