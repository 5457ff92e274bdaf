import { chmod, lstat, opendir, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { RunRequest } from '@skrei/executor'
import type { Failure, Task } from '@skrei/job-spec'

interface Found {
  readonly bytes: number
  /** Files and directories. */
  readonly entries: number
  /** The first thing that is neither a plain file nor a directory, and what it is. */
  readonly unsafe?: string
}

type Bounds = Pick<Task, 'resources' | 'limits'>

export const writable = ({ mounts }: RunRequest): readonly string[] => mounts.filter((mount) => mount.writable).map(({ path }) => path)

/** The program's user need not be this process's: their parent directories keep others out. */
export const open = async (paths: readonly string[]): Promise<void> => {
  for (const path of paths) await chmod(path, 0o777)
}

/** Removes all that the directories hold. */
export const empty = async (paths: readonly string[]): Promise<void> => {
  for (const path of paths) for await (const entry of await opendir(path)) await rm(join(path, entry.name), { recursive: true, force: true })
}

/**
 * How much stands below the directories; stops once that is too much. Follows no link. What vanishes in between does not count. Deleted files that are still open are
 * not seen.
 */
const measure = async (paths: readonly string[], bounds: Bounds, signal?: AbortSignal): Promise<Found> => {
  let [bytes, entries] = [0, 0]
  let unsafe: string | undefined
  const left = [...paths]
  for (let path = left.pop(); path !== undefined; path = left.pop()) {
    const directory = await opendir(path).catch(unlessMissing)
    for await (const entry of directory ?? []) {
      signal?.throwIfAborted()
      const child = join(path, entry.name)
      entries++
      if (entry.isDirectory()) left.push(child)
      else {
        const stat = await lstat(child).catch(unlessMissing)
        // A hole has size and no blocks, a file that grows may have more blocks than size: what counts is what a reader gets.
        bytes += stat?.size ?? 0
        if (stat !== undefined) unsafe ??= stat.isFile() ? (stat.mode & 0o6000 ? 'a program that runs as its owner (setuid)' : undefined) : kindOf(stat)
      }
      if (bytes > bounds.resources.disk || entries > bounds.limits.files) return { bytes, entries, ...(unsafe !== undefined && { unsafe }) }
    }
  }
  return { bytes, entries, ...(unsafe !== undefined && { unsafe }) }
}

/** Why the outputs are too much, if they are. */
const tooMuch = ({ bytes, entries }: Found, { resources, limits }: Bounds): Failure | undefined => {
  if (bytes > resources.disk) return { code: 'output-too-large', detail: `the outputs hold more than ${resources.disk} bytes` }
  if (entries > limits.files) return { code: 'output-too-large', detail: `the outputs hold more than ${limits.files} files and directories` }
  return undefined
}

/** What a program that has ended left in its outputs. */
export interface Outputs {
  readonly bytes: number
  /** What is wrong with them. */
  readonly failure?: Failure
  /** Nothing of them may be used: they are to be emptied. */
  readonly isSpoiled: boolean
}

export const checkOutputs = async (paths: readonly string[], bounds: Bounds): Promise<Outputs> => {
  let found: Found
  try {
    found = await measure(paths, bounds)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EACCES')) throw error
    return {
      failure: { code: 'output-unsafe', detail: 'the outputs hold a directory that the program closed to others, and the node is another user' },
      bytes: 0,
      isSpoiled: false,
    }
  }
  const failure =
    tooMuch(found, bounds) ?? (found.unsafe === undefined ? undefined : ({ code: 'output-unsafe', detail: `the outputs hold ${found.unsafe}` } as const))
  return failure === undefined ? { bytes: found.bytes, isSpoiled: false } : { failure, bytes: 0, isSpoiled: true }
}

/**
 * Looks at the outputs again and again while the program runs, and calls `exceeded` once when they are too much. A look takes as long as there are files: between two
 * there is at least four times as long as the last one took. Less than `reserve` bytes left on the disk are too much as well, whoever took them: what a program has deleted and
 * holds open takes space and is not seen.
 */
export const watchOutputs = (
  paths: readonly string[],
  bounds: Bounds,
  { interval, reserve }: { readonly interval: number; readonly reserve: number },
  exceeded: (failure: Failure) => void,
): Disposable => {
  const over = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const look = async (): Promise<void> => {
    const began = performance.now()
    const failure = tooMuch(await measure(paths, bounds, over.signal), bounds) ?? (await noRoom(paths, reserve))
    if (over.signal.aborted) return
    if (failure !== undefined) exceeded(failure)
    else again(Math.max(interval, 4 * (performance.now() - began)))
  }
  const again = (milliseconds: number): void => {
    // What cannot be read now is read at the end, where it is an error.
    timer = setTimeout(() => void look().catch(() => over.signal.aborted || again(interval)), milliseconds)
  }
  if (paths.length > 0) again(interval)
  return {
    [Symbol.dispose]: () => {
      over.abort()
      clearTimeout(timer)
    },
  }
}

const noRoom = async (paths: readonly string[], reserve: number): Promise<Failure | undefined> => {
  for (const path of paths) {
    const { bavail, bsize } = await statfs(path)
    if (bavail * bsize < reserve) return { code: 'disk-full', detail: `less than ${reserve} bytes are left on the disk of the outputs` }
  }
  return undefined
}

const kindOf = (stat: Awaited<ReturnType<typeof lstat>>): string => {
  if (stat.isSymbolicLink()) return 'a symbolic link'
  if (stat.isFIFO()) return 'a named pipe'
  if (stat.isSocket()) return 'a socket'
  return 'a device'
}

const unlessMissing = (error: unknown): undefined => {
  if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return undefined
  throw error
}
