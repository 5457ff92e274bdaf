import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type IpfsStorage, type IpfsStorageOptions, ipfsStorage } from '../src/index.ts'

export type Tree = Readonly<Record<string, Uint8Array | string>>

/** A directory of its own for a test, gone at its end, with started storages in it that are stopped before. */
export const scratch = async () => {
  const path = await mkdtemp(join(tmpdir(), 'skrei-ipfs-'))
  const storages: IpfsStorage[] = []
  let count = 0
  const fresh = () => {
    count += 1
    return join(path, `fresh-${count}`)
  }
  return {
    path,
    fresh,
    storage: async (options: Partial<IpfsStorageOptions> = {}) => {
      const storage = ipfsStorage({ directory: join(path, 'store'), sync: false, ...options })
      storages.push(storage)
      await storage.start()
      return storage
    },
    make: async (tree: Tree) => {
      const directory = fresh()
      await mkdir(directory)
      for (const [name, content] of Object.entries(tree)) {
        await mkdir(dirname(join(directory, name)), { recursive: true })
        await writeFile(join(directory, name), content)
      }
      return directory
    },
    [Symbol.asyncDispose]: async () => {
      for (const storage of storages) await storage.stop()
      await rm(path, { recursive: true, force: true })
    },
  }
}

export type Scratch = Awaited<ReturnType<typeof scratch>>

/** All files below a directory, by path. */
const filesOf = async (directory: string): Promise<Record<string, string>> => {
  // Not by assignment: a file may be called `__proto__`.
  const found: [string, string][] = []
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    found.push([path.slice(directory.length + 1), (await readFile(path)).toString('base64')])
  }
  return Object.fromEntries(found)
}

export const asFound = (tree: Tree): Record<string, string> =>
  Object.fromEntries(Object.entries(tree).map(([path, content]) => [path, Buffer.from(content).toString('base64')]))

export const collect = async <T>(items: AsyncIterable<T> | Iterable<T>): Promise<T[]> => {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

export const fetched = async (storage: IpfsStorage, cid: string, into: string): Promise<Record<string, string>> => {
  await mkdir(into)
  await collect(storage.publisher.fetch({ type: 'ipfs', cid }, into, {}))
  return filesOf(into)
}

export const cidOf = (reference: { readonly cid?: string }): string => {
  if (reference.cid === undefined) throw new Error('a reference without a CID')
  return reference.cid
}

/** A name of 250 bytes: a thousand of them shard a directory. */
export const longName = (index: number): string => `${index} `.padEnd(250, 'long name ')

export const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest()
