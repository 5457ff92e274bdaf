import type { Stats } from 'node:fs'
import { lstat, realpath } from 'node:fs/promises'
import { dirname, isAbsolute, resolve, sep } from 'node:path'
import { FailureError } from '@skrei/job-spec'
import { systemCode } from './system-error.ts'

export interface AllowedPath {
  /** Without links. */
  readonly real: string
  readonly stat: Stats
}

const realOrUndefined = async (path: string): Promise<string | undefined> => {
  try {
    return await realpath(path)
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}

const inside = (real: string, root: string): boolean => real === root || real.startsWith(root.endsWith(sep) ? root : `${root}${sep}`)

const forbidden = (path: string, cause?: unknown) =>
  new FailureError('source-forbidden', `${path} is not inside a directory that this node allows`, cause === undefined ? {} : { cause })

/**
 * Where a path really is, if that is inside an allowed directory. What lies outside is answered with `source-forbidden` whether it exists
 * or not: a job must not be able to ask what else is on the disk.
 */
export const allowedPath = async (path: string, base: string | undefined, allow: readonly string[]): Promise<AllowedPath> => {
  if (path.includes('\0')) throw new FailureError('source-invalid', 'the path holds a NUL character')
  if (!isAbsolute(path) && base === undefined)
    throw new FailureError('source-invalid', `${path} is relative, and this node has no directory that it could be relative to`)
  const absolute = resolve(base ?? '/', path)
  const roots: string[] = []
  for (const directory of allow) {
    const root = await realOrUndefined(directory)
    if (root !== undefined) roots.push(root)
  }
  const allowed = (real: string) => roots.some((root) => inside(real, root))
  try {
    const real = await realOrUndefined(absolute)
    if (real !== undefined) {
      if (!allowed(real)) throw forbidden(path)
      return { real, stat: await lstat(real) }
    }
    let ancestor = absolute
    let found: string | undefined
    while (found === undefined && ancestor !== dirname(ancestor)) {
      ancestor = dirname(ancestor)
      found = await realOrUndefined(ancestor)
    }
    if (found === undefined || !allowed(found)) throw forbidden(path)
    throw new FailureError('source-not-found', `${path} does not exist`)
  } catch (error) {
    const code = systemCode(error)
    if (code === 'EACCES' || code === 'EPERM' || code === 'ELOOP') throw forbidden(path, error)
    if (code === 'ENAMETOOLONG') throw new FailureError('source-invalid', 'the path is too long for the file system', { cause: error })
    if (code === 'ENOENT' || code === 'ENOTDIR') throw new FailureError('source-not-found', `${path} does not exist`, { cause: error })
    throw error
  }
}
