import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { removeTree } from '../src/local/remove-tree.ts'

/** A directory that is gone at the end of its block, even with a tree in it that `rm` does not manage. */
export const temporaryDirectory = async (): Promise<AsyncDisposable & { readonly path: string }> => {
  const path = await mkdtemp(join(tmpdir(), 'skrei-storage-'))
  return { path, [Symbol.asyncDispose]: () => removeTree(path) }
}
