import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { stat, unlink } from 'node:fs/promises'
import { basename, isAbsolute } from 'node:path'
import { FailureError, type FileEntry, failureOf, type SourceSpec } from '@skrei/job-spec'
import type { Source } from '../index.ts'
import { type AllowedPath, allowedPath } from './allowed-path.ts'
import { fileCloner } from './clone-file.ts'
import { chunksOf, liesAt, openSame } from './read-file.ts'
import { systemCode } from './system-error.ts'
import { walk } from './walk.ts'
import { checkHash, checkSize, type Expected, tooLarge, writeError, writeFile } from './write-file.ts'

export interface LocalSourceOptions {
  /** Absolute paths of directories; only what really lies inside one of them is opened. A directory that does not exist allows nothing. */
  readonly allow: readonly string[]
  /** The absolute path that relative paths are relative to (the job file's directory). Without it they are `source-invalid`. */
  readonly base?: string
}

/** `assess` adds up a directory of at most this many files; larger ones are of unknown size. */
const maxAssessedFiles = 10_000

const localPath = (source: SourceSpec): string => {
  if (source.type !== 'local') throw new FailureError('source-invalid', `the local driver was given a source of type ${source.type}`)
  return source.path
}

const refuse = (path: string, what: string) => new FailureError('source-invalid', `${path} ${what}`)

/**
 * Files and directories of the node's own disk.
 *
 * A path that is given may itself be or contain a link, as long as it ends inside an allowed directory. Inside a listed directory links
 * and special files are refused (`source-invalid`), never skipped: a job must not quietly compute on less than its user sees.
 */
export const localSource = (options: LocalSourceOptions): Source => {
  const { allow, base } = options
  for (const directory of base === undefined ? allow : [...allow, base]) {
    if (!isAbsolute(directory)) throw new TypeError(`localSource: expected an absolute path, got ${directory}`)
  }
  const clone = fileCloner()
  const place = (source: SourceSpec): Promise<AllowedPath> => allowedPath(localPath(source), base, allow)

  const openPlace = async (found: AllowedPath): Promise<FileHandle> => {
    if (!found.stat.isFile()) throw refuse(found.real, found.stat.isDirectory() ? 'is a directory, not a file' : 'is neither a file nor a directory')
    let handle: FileHandle | undefined
    try {
      handle = await openSame(found.real, found.stat)
    } catch (error) {
      if (systemCode(error) === 'EACCES' || systemCode(error) === 'EPERM')
        throw new FailureError('source-forbidden', `${found.real} may not be read by this node`, { cause: error })
      throw error
    }
    if (handle !== undefined && (await liesAt(handle, found.real))) return handle
    await handle?.close()
    throw refuse(found.real, 'was replaced while it was opened')
  }

  async function* stageCloned(into: string, expected: Expected, what: string, signal: AbortSignal | undefined): AsyncGenerator<number> {
    let complete = false
    try {
      const { size } = await stat(into)
      if (size > expected.maxBytes) throw tooLarge(expected.maxBytes, what)
      checkSize(size, expected, what)
      if (expected.hashes.length > 0) {
        const hash = createHash('sha256')
        const clonedHandle = await openSame(into, await stat(into))
        if (clonedHandle === undefined) throw new Error(`${into} was replaced while it was written`)
        try {
          for await (const chunk of chunksOf(clonedHandle, signal)) hash.update(chunk)
        } finally {
          await clonedHandle.close()
        }
        checkHash(hash.digest('hex'), expected, what)
      }
      signal?.throwIfAborted()
      yield size
      complete = true
    } finally {
      if (!complete) await unlink(into)
    }
  }

  return {
    type: 'local',

    list: async function* (source, { signal } = {}) {
      signal?.throwIfAborted()
      const found = await place(source)
      const pinned = source.sha256
      if (found.stat.isFile()) {
        const entry = { path: basename(found.real), source: { ...source, type: 'local', path: found.real }, size: found.stat.size, alone: true } as const
        yield pinned === undefined ? entry : { ...entry, hash: pinned }
        return
      }
      if (!found.stat.isDirectory()) throw refuse(found.real, 'is neither a file nor a directory')
      if (pinned !== undefined) throw refuse(found.real, 'is a directory: sha256 pins one file')
      for await (const file of walk(found.real, { signal, refuse })) {
        yield { path: file.path, source: { type: 'local', path: file.absolute }, size: file.stat.size }
      }
    },

    assess: async (source, { signal } = {}) => {
      signal?.throwIfAborted()
      try {
        const found = await place(source)
        if (found.stat.isFile()) return { bytes: found.stat.size, held: true, refusals: [] }
        if (!found.stat.isDirectory()) return { held: false, refusals: [] }
        let bytes = 0
        let files = 0
        for await (const file of walk(found.real, { signal, refuse })) {
          bytes += file.stat.size
          files += 1
          if (files > maxAssessedFiles) return { held: true, refusals: [] }
        }
        return { bytes, held: true, refusals: [] }
      } catch (error) {
        const failure = failureOf(error)
        if (failure === undefined) throw error
        return { held: false, refusals: failure.code === 'source-forbidden' ? [{ code: 'source-forbidden', detail: failure.detail }] : [] }
      }
    },

    stage: async function* (file: FileEntry, into, { signal, maxBytes }) {
      signal?.throwIfAborted()
      const what = localPath(file.source)
      const hashes = [file.hash, file.source.sha256].filter((hash) => hash !== undefined)
      const expected: Expected = { maxBytes, size: file.size, hashes }
      const found = await place(file.source)
      const handle = await openPlace(found)
      try {
        const { size } = await handle.stat()
        if (size > maxBytes) throw tooLarge(maxBytes, what)
        checkSize(size, expected, what)
        signal?.throwIfAborted()
        if (await clone(handle, found.stat, into, 0o644)) yield* stageCloned(into, expected, what, signal)
        else yield* writeFile(into, chunksOf(handle, signal), expected, what)
      } catch (error) {
        throw writeError(error)
      } finally {
        await handle.close()
      }
    },
  }
}
