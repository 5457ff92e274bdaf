import { createTarDecoder } from 'modern-tar'
import { ApiError } from './api-error.ts'
import type { TreeFile } from './node-service.ts'

const maxPathBytes = 4096
const maxDepth = 64
/** What the names of one archive may come to together, since they are remembered to its end: 64 bytes each, or 16 MiB where those are less. */
const maxNameBytes = (maxEntries: number): number => Math.max(16 * 2 ** 20, 64 * maxEntries)

const invalid = (message: string): ApiError => new ApiError('tree-invalid', message)

const shown = (path: string): string => JSON.stringify(path.length > 80 ? `${path.slice(0, 77)}...` : path)

/** The path in its one form. @throws ApiError `tree-invalid` */
const relativePath = (name: string): string => {
  const path = name.replace(/^(?:\.\/)+/, '').replace(/\/+$/, '')
  if (path === '' || path === '.') return ''
  if (Buffer.byteLength(path) > maxPathBytes) throw invalid(`${shown(path)} is longer than ${maxPathBytes} bytes`)
  const segments = path.split('/')
  if (segments.length > maxDepth) throw invalid(`${shown(path)} is deeper than ${maxDepth} levels`)
  if (path.includes('\0') || path.includes('\ufffd') || segments.some((segment) => segment === '' || segment === '.' || segment === '..'))
    throw invalid(`${shown(path)} is no relative path of plain names in UTF-8`)
  return path
}

/** Remembers what is a file and what a directory. @throws ApiError `tree-invalid` */
const pathBook = (maxEntries: number) => {
  const known = new Map<string, 'file' | 'directory'>()
  let bytes = 0
  const note = (path: string, kind: 'file' | 'directory') => {
    const had = known.get(path)
    if (had === 'directory' && kind === 'directory') return
    if (had !== undefined) throw invalid(`${shown(path)} is in the archive twice`)
    bytes += path.length
    if (known.size >= maxEntries) throw invalid(`the archive has more than ${maxEntries} files and directories`)
    if (bytes > maxNameBytes(maxEntries)) throw invalid(`the names in the archive have more than ${maxNameBytes(maxEntries)} bytes together`)
    known.set(path, kind)
  }
  return (path: string, kind: 'file' | 'directory') => {
    for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) note(path.slice(0, at), 'directory')
    note(path, kind)
  }
}

/**
 * The files of a tar archive, in its order, as they come in; directories without files are passed over. Each file's content is to be read before the next is asked for.
 *
 * @throws ApiError `tree-invalid` for links, special files, paths that leave the archive or come twice, too many entries, and what is no tar archive; what `archive` throws
 */
export async function* readTree(archive: AsyncIterable<Uint8Array>, maxEntries: number): AsyncGenerator<TreeFile, void, undefined> {
  let broken: unknown
  const source = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for await (const chunk of archive) yield chunk
    } catch (error) {
      broken = error
      throw error
    }
  }
  // What went wrong outside the archive is told as it is; all else is the archive's fault.
  const blame = (error: unknown): unknown => {
    if (broken !== undefined) return broken
    if (error instanceof ApiError) return error
    return invalid(`the archive is damaged: ${error instanceof Error ? error.message : String(error)}`)
  }
  const note = pathBook(maxEntries)
  const entries = ReadableStream.from(source())
    .pipeThrough(createTarDecoder({ strict: true }))
    .getReader()
  let ended = false
  try {
    while (true) {
      const next = await entries.read().catch((error) => {
        throw blame(error)
      })
      if (next.done) break
      const { header, body } = next.value
      const path = relativePath(header.name)
      if (header.type !== 'file' && header.type !== 'directory')
        throw invalid(`${shown(header.name)} is a ${header.type}: only files and directories are taken`)
      if (path === '') {
        if (header.type === 'file') throw invalid('a file of the archive has no name')
      } else note(path, header.type)
      if (header.type === 'file') {
        const content = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
          try {
            for await (const chunk of body) yield chunk
          } catch (error) {
            throw blame(error)
          }
        }
        yield { path, size: header.size, content: content() }
      }
      // Nothing comes after a body that nobody reads.
      if (!body.locked) await body.cancel().catch(() => undefined)
    }
    ended = true
  } finally {
    if (!ended) await entries.cancel(new Error('no more is wanted')).catch(() => undefined)
  }
}
