import { mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { type DagFile, loadNode } from './dag-node.ts'
import { type ContentOptions, fileContent, loadFile } from './file-content.ts'
import { IpfsError } from './ipfs-error.ts'
import { readAhead } from './read-ahead.ts'
import { type TreeItem, walkTree } from './tree-walk.ts'
import { writeAll } from './write-whole.ts'

/** Small files that are written at the same time. */
const filesAhead = 8
const smallBytes = 1_048_576

interface FetchOptions extends Omit<ContentOptions, 'from'> {
  readonly maxEntries: number
  readonly maxFetchBytes: number
}

async function* writeContent(file: DagFile, path: string, options: FetchOptions): AsyncGenerator<number, void, undefined> {
  // Created, never opened: what stands there already, a link above all, is not written through.
  const target = await open(path, 'wx', 0o644)
  try {
    for await (const block of fileContent(file, options)) {
      await writeAll(target, block)
      yield block.byteLength
    }
  } finally {
    await target.close()
  }
}

/** Writes a published tree below the empty directory `into`; yields the bytes written so far. */
export async function* fetchTree(root: CID, into: string, options: FetchOptions): AsyncGenerator<number, void, undefined> {
  const { blockstore, signal, maxFetchBytes } = options
  const found = await loadNode(blockstore, root, signal)
  if (found.kind === 'file') throw new IpfsError('dag-invalid', `${root} is a file, not a published directory`)
  const top = found
  let planned = 0
  let written = 0

  // Directories are made in the order of the walk, before the files in them are begun.
  async function* files(): AsyncGenerator<TreeItem & { type: 'file' }, void, undefined> {
    for await (const item of walkTree(blockstore, top, options)) {
      if (item.type === 'directory') {
        await mkdir(join(into, item.path))
        continue
      }
      planned += item.size
      if (planned > maxFetchBytes) throw new IpfsError('limit-exceeded', `${root} holds more than ${maxFetchBytes} bytes (option maxFetchBytes)`)
      yield item
    }
  }

  const begin = async (item: TreeItem & { type: 'file' }) => {
    const file = await loadFile(blockstore, item.cid, item.size, signal)
    const path = join(into, item.path)
    if (file.size > smallBytes) return { bytes: 0, rest: writeContent(file, path, options) }
    for await (const _bytes of writeContent(file, path, options));
    return { bytes: file.size, rest: undefined }
  }

  for await (const { bytes, rest } of readAhead(files(), filesAhead, begin)) {
    written += bytes
    yield written
    if (rest === undefined) continue
    for await (const more of rest) {
      written += more
      yield written
    }
  }
}
