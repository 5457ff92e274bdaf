import { createWriteStream } from 'node:fs'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { readTree } from '@skrei/api'
import { makeDirectory } from '../make-directory.ts'

/** Files of one result, at most. */
const mostFiles = 10_000_000

/** Writes the files of a tar archive below a directory that holds nothing else; yields the bytes so far. The archive is a stranger's: only plain files below the directory are made. */
export async function* writeTree(archive: AsyncIterable<Uint8Array>, directory: string, { signal }: { readonly signal: AbortSignal }): AsyncGenerator<number> {
  let bytes = 0
  for await (const { path, content } of readTree(archive, mostFiles)) {
    const to = join(directory, path)
    makeDirectory(dirname(to))
    const counted = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of content) {
        bytes += chunk.byteLength
        yield chunk
      }
    }
    await pipeline(counted, createWriteStream(to, { flags: 'wx' }), { signal })
    yield bytes
  }
}
