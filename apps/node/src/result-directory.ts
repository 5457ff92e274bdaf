import { readdirSync, rmSync } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { cliError, systemCode } from './cli-errors.ts'
import { makeDirectory } from './make-directory.ts'

/** A directory that will hold a result: new or empty when it was taken. */
export interface ResultDirectory {
  readonly path: string
  /** Takes back what was written, after a failure: the directory is as it was. */
  undo(): void
}

export const takeResultDirectory = (directory: string): ResultDirectory => {
  const path = resolve(directory)
  try {
    const created = makeDirectory(path)
    if (readdirSync(path).length > 0) throw cliError('output-not-empty', `${path} is not empty`)
    return {
      path,
      undo: () => {
        if (created !== undefined) rmSync(created, { recursive: true, force: true })
        else for (const entry of readdirSync(path)) rmSync(join(path, entry), { recursive: true, force: true })
      },
    }
  } catch (error) {
    const code = systemCode(error)
    if (code === undefined || code.startsWith('output-')) throw error
    throw cliError('output-unusable', code === 'EEXIST' || code === 'ENOTDIR' ? `${path} is a file, not a directory` : `cannot use ${path}: ${code}`, {
      cause: error,
    })
  }
}

/** The last bytes of a file, as text; empty where there is none. */
export const tailOf = async (file: string, maxBytes: number): Promise<string> => {
  try {
    const { size } = await stat(file)
    const handle = await open(file)
    try {
      const buffer = Buffer.alloc(Math.min(size, maxBytes))
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, size - buffer.length)
      return new TextDecoder().decode(buffer.subarray(0, bytesRead))
    } finally {
      await handle.close()
    }
  } catch {
    return ''
  }
}
