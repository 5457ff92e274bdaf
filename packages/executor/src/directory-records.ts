import { appendFileSync, closeSync, openSync, readSync, statSync } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ExecutionRecord, ExecutionRecords, OutputLog, StreamName } from './records.ts'

/** Readable and reversible: everything but small letters, digits and `-` as `_` and two hexadecimal digits a byte. */
const folderOf = (id: string): string => {
  const name = [...new TextEncoder().encode(id)]
    .map((byte) => (/[a-z0-9-]/.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : `_${byte.toString(16).padStart(2, '0')}`))
    .join('')
  if (name.length === 0 || name.length > 240)
    throw new RangeError('an execution id must have 1 to 240 characters, and fewer if it has other than small letters, digits and -')
  return name
}

const idOf = (folder: string): string | undefined => {
  if (!/^([a-z0-9-]|_[0-9a-f]{2})+$/.test(folder)) return undefined
  return new TextDecoder().decode(
    Buffer.from(
      folder.replace(/[^_]/g, (character, index: number) => (isDigitOfEscape(folder, index) ? character : hex(character))).replaceAll('_', ''),
      'hex',
    ),
  )
}
const hex = (character: string): string => character.charCodeAt(0).toString(16)
const isDigitOfEscape = (folder: string, index: number): boolean => folder[index - 1] === '_' || folder[index - 2] === '_'

/** Where the file is that holds a stream of an execution. */
export const outputPath = (directory: string, id: string, stream: StreamName): string => join(directory, folderOf(id), stream)

/**
 * Records as files, one folder an id: `record.json`, `stdout`, `stderr`. What the process did survives its death; a tombstone survives loss of power too.
 * A record that cannot be read (power was lost while it was written) counts as started and not ended.
 */
export const directoryRecords = (directory: string): ExecutionRecords => {
  const path = (id: string, name: string) => join(directory, folderOf(id), name)
  return {
    get: async (id) => {
      let text: string
      try {
        text = await readFile(path(id, 'record.json'), 'utf8')
      } catch (error) {
        if (isMissing(error)) return undefined
        throw error
      }
      return parsed(text)
    },
    put: async (id, record) => {
      const temporary = path(id, 'record.tmp')
      // What a program writes is for its owner only.
      await mkdir(join(directory, folderOf(id)), { recursive: true, mode: 0o700 })
      await writeFile(temporary, JSON.stringify(record), { flush: record.state === 'stopped' })
      await rename(temporary, path(id, 'record.json'))
      if (record.state === 'stopped') await flush(directory, folderOf(id))
    },
    async *ids() {
      for (const folder of await readdir(directory).catch(emptyIfMissing)) {
        const id = idOf(folder)
        if (id !== undefined) yield id
      }
    },
    delete: async (id) => {
      await rm(join(directory, folderOf(id)), { recursive: true, force: true })
    },
    log: async (id) => {
      return fileLog((stream) => path(id, stream))
    },
  }
}

const parsed = (text: string): ExecutionRecord => {
  try {
    const value: unknown = JSON.parse(text)
    if (isRecord(value)) return value
  } catch {
    // Falls through: see above.
  }
  return { state: 'started', note: {} }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value)
const isNote = (value: unknown): boolean => isObject(value) && Object.values(value).every((text) => typeof text === 'string')
const isExit = (value: unknown): boolean => isObject(value) && value['type'] === 'exit' && isObject(value['usage']) && isObject(value['facts'])

const isRecord = (value: unknown): value is ExecutionRecord => {
  if (!isObject(value)) return false
  if (value['state'] === 'started') return isNote(value['note'])
  if (value['state'] === 'ended') return isExit(value['exit'])
  return value['state'] === 'stopped' && (value['note'] === undefined || isNote(value['note'])) && (value['exit'] === undefined || isExit(value['exit']))
}

const flush = async (directory: string, folder: string): Promise<void> => {
  for (const path of [join(directory, folder), directory]) {
    const handle = await open(path, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  }
}

/** Synchronous on purpose: at most 64 KiB from the page cache cost less than a trip to the thread pool. */
const fileLog = (path: (stream: StreamName) => string): OutputLog => ({
  length: (stream) => statSync(path(stream), { throwIfNoEntry: false })?.size ?? 0,
  append: (stream, bytes) => appendFileSync(path(stream), bytes),
  read: async (stream, offset, limit) => {
    const file = openSync(path(stream), 'r')
    try {
      const bytes = new Uint8Array(limit)
      return bytes.subarray(0, readSync(file, bytes, 0, limit, offset))
    } finally {
      closeSync(file)
    }
  },
})

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT'
const emptyIfMissing = (error: unknown): string[] => {
  if (isMissing(error)) return []
  throw error
}
