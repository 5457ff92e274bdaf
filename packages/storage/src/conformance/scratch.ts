import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** A directory that is removed at the end of its block. */
export const scratch = async (): Promise<AsyncDisposable & { readonly path: string; readonly fresh: () => string }> => {
  const path = await mkdtemp(join(tmpdir(), 'skrei-storage-'))
  return {
    path,
    fresh: () => join(path, randomUUID()),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  }
}

/** Bytes that do not compress and differ by place, the same in each run. */
export const patternBytes = (length: number, seed = 1): Uint8Array => {
  const bytes = Buffer.allocUnsafe(length)
  let state = seed
  for (let index = 0; index < length; index += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    bytes[index] = state >>> 24
  }
  return bytes
}

/** The files beneath a directory, by path; the content as latin1, which is quick to compare. */
export const filesOf = async (directory: string): Promise<Record<string, string>> => {
  const found: Record<string, string> = {}
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const absolute = join(entry.parentPath, entry.name)
    if (entry.isFile()) found[absolute.slice(directory.length + 1)] = (await readFile(absolute)).toString('latin1')
  }
  return found
}

export const writeFiles = async (directory: string, files: Readonly<Record<string, Uint8Array>>): Promise<void> => {
  await mkdir(directory, { recursive: true })
  for (const [path, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true })
    await writeFile(join(directory, path), bytes)
  }
}

/** Files as {@link filesOf} gives them. */
export const asFound = (files: Readonly<Record<string, Uint8Array>>): Record<string, string> =>
  Object.fromEntries(Object.entries(files).map(([path, bytes]) => [path, Buffer.from(bytes).toString('latin1')]))

export const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

export const drain = async (items: AsyncIterable<unknown>): Promise<void> => {
  for await (const _item of items);
}
