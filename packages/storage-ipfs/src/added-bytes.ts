import { randomUUID } from 'node:crypto'
import { readFile, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { IpfsError } from './ipfs-error.ts'
import { writeWhole } from './write-whole.ts'

/** What additions have stored, all together, over restarts: nothing of it is ever removed, so that it needs a bound. */
export interface AddedBytes {
  start(): Promise<void>
  /** Before a block is written; resolves with what takes it back where it was not. Rejects with `storage-full` where it must not be. */
  take(bytes: number): Promise<() => void>
  /** Writes down what was taken. */
  keep(): Promise<void>
}

interface AddedBytesOptions {
  readonly directory: string
  readonly sync: boolean
  readonly maxAddedBytes: number
  readonly keepFreeBytes: number
}

/** What a block takes on a disk at least. */
const leastBytes = 4096
/** How much may be written before the disk is looked at, and before the sum is written down, again. */
const lookEvery = 4 * 1024 * 1024
const keepEvery = 64 * 1024 * 1024

export const addedBytes = ({ directory, sync, maxAddedBytes, keepFreeBytes }: AddedBytesOptions): AddedBytes => {
  const file = join(directory, 'added.json')
  let total = 0
  let looked = Number.NEGATIVE_INFINITY
  let kept = 0
  let writing = Promise.resolve()

  const read = async (): Promise<number> => {
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '{"bytes":0}'
      throw error
    })
    const record: unknown = JSON.parse(text)
    if (typeof record === 'object' && record !== null && 'bytes' in record && Number.isSafeInteger(record.bytes)) return Number(record.bytes)
    throw new Error(`${file} is damaged: write into it how many bytes additions take, as {"bytes":0}`)
  }

  // One after the other: an older sum must not come last.
  const keep = (): Promise<void> => {
    const next = writing
      .catch(() => undefined)
      .then(async () => {
        if (kept === total) return
        const bytes = total
        await writeWhole(join(directory, 'tmp', randomUUID()), file, Buffer.from(`${JSON.stringify({ bytes })}\n`), sync)
        kept = bytes
      })
    writing = next
    return next
  }

  const lookAtDisk = async (): Promise<void> => {
    looked = total
    const { bavail, bsize } = await statfs(directory)
    if (bavail * bsize >= keepFreeBytes) return
    // Looked at again for the next block.
    looked = Number.NEGATIVE_INFINITY
    throw new IpfsError('storage-full', `the disk of ${directory} has ${bavail * bsize} bytes left; additions leave ${keepFreeBytes} free`)
  }

  return {
    start: async () => {
      kept = await read()
      total = Math.max(total, kept)
    },
    take: async (bytes) => {
      const size = Math.max(bytes, leastBytes)
      if (total + size > maxAddedBytes) throw new IpfsError('storage-full', `additions take ${total} bytes, of ${maxAddedBytes} that they may take together`)
      total += size
      const back = (): void => {
        total -= size
      }
      try {
        if (total - looked >= lookEvery) await lookAtDisk()
        if (total - kept >= keepEvery) await keep()
      } catch (error) {
        back()
        throw error
      }
      return back
    },
    keep,
  }
}
