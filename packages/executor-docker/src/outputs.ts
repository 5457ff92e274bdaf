import { isUtf8 } from 'node:buffer'
import type { Dirent } from 'node:fs'
import { chmod, lstat, opendir, rm, statfs } from 'node:fs/promises'
import type { RunRequest } from '@skrei/executor'
import type { Failure, Task } from '@skrei/job-spec'

interface Found {
  readonly bytes: number
  /** Files and directories. */
  readonly entries: number
  /** The first thing that is neither a plain file nor a directory, or has no name that can be kept, and what it is. */
  readonly unsafe?: string
  /** What keeps something out of sight: then the rest is all that was measured. */
  readonly hidden?: Hidden
}

type Hidden = keyof typeof hiding
/** By the system's code. */
const hiding = {
  EACCES: 'a directory that the program closed to others, and the node is another user',
  ENAMETOOLONG: 'a path that is too long',
} as const

type Bounds = Pick<Task, 'resources' | 'limits'>

export const writable = ({ mounts }: RunRequest): readonly string[] => mounts.filter((mount) => mount.writable).map(({ path }) => path)

/** The program's user need not be this process's: their parent directories keep others out. */
export const open = async (paths: readonly string[]): Promise<void> => {
  for (const path of paths) await chmod(path, 0o777)
}

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined)
const hiddenBy = (error: unknown): Hidden | undefined => {
  const code = codeOf(error)
  return code === 'EACCES' || code === 'ENAMETOOLONG' ? code : undefined
}
const isMissing = (error: unknown): boolean => ['ENOENT', 'ENOTDIR'].some((code) => codeOf(error) === code)

const slash = Buffer.from('/')

/** What a directory holds. Names are bytes: a program's need not be text. */
async function* entriesOf(directory: Buffer): AsyncGenerator<{ readonly path: Buffer; readonly entry: Dirent<Buffer> }> {
  const opened = (await opendir(directory, { encoding: 'buffer' as BufferEncoding })) as unknown as AsyncIterable<Dirent<Buffer>>
  for await (const entry of opened) yield { path: Buffer.concat([directory, slash, entry.name]), entry }
}

/** Removes all that the directories hold; of what is hidden, what can be. */
export const empty = async (paths: readonly string[]): Promise<void> => {
  for (const root of paths)
    for await (const { path } of entriesOf(Buffer.from(root)))
      await rm(path, { recursive: true, force: true }).catch((error: unknown) => {
        if (hiddenBy(error) === undefined) throw error
      })
}

/**
 * How much stands below the directories; stops once that is too much. Follows no link. What vanishes in between does not count. Deleted files that are still open are
 * not seen.
 */
const measure = async (paths: readonly string[], bounds: Bounds, signal?: AbortSignal): Promise<Found> => {
  let [bytes, entries] = [0, 0]
  let unsafe: string | undefined
  let hidden: Hidden | undefined
  const found = (): Found => ({ bytes, entries, ...(unsafe !== undefined && { unsafe }), ...(hidden !== undefined && { hidden }) })
  const unlessHidden = (error: unknown): undefined => {
    const by = hiddenBy(error)
    if (by === undefined && !isMissing(error)) throw error
    hidden = by ?? hidden
  }
  const left: Buffer[] = paths.map((path) => Buffer.from(path))
  for (let directory: Buffer | undefined = left.pop(); directory !== undefined; directory = left.pop()) {
    try {
      for await (const { path, entry } of entriesOf(directory)) {
        signal?.throwIfAborted()
        entries++
        if (!isUtf8(entry.name)) unsafe ??= 'a name that is not UTF-8'
        if (entry.isDirectory()) left.push(path)
        else {
          const stat = await lstat(path).catch(unlessHidden)
          // A hole has size and no blocks, a file that grows may have more blocks than size: what counts is what a reader gets.
          bytes += stat?.size ?? 0
          if (stat !== undefined) unsafe ??= stat.isFile() ? (stat.mode & 0o6000 ? 'a program that runs as its owner (setuid)' : undefined) : kindOf(stat)
        }
        if (bytes > bounds.resources.disk || entries > bounds.limits.files) return found()
      }
    } catch (error) {
      unlessHidden(error)
    }
  }
  return found()
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
  const found = await measure(paths, bounds)
  const unsafe = found.hidden === undefined ? found.unsafe : hiding[found.hidden]
  const failure = tooMuch(found, bounds) ?? (unsafe === undefined ? undefined : ({ code: 'output-unsafe', detail: `the outputs hold ${unsafe}` } as const))
  // What is hidden cannot be removed from here.
  return failure === undefined ? { bytes: found.bytes, isSpoiled: false } : { failure, bytes: 0, isSpoiled: found.hidden === undefined }
}

/**
 * Looks at the outputs again and again while the program runs, and calls `exceeded` once when they are too much. A look takes as long as there are files: between two
 * there is at least four times as long as the last one took. Less than `reserve` bytes left on the disk are too much as well, whoever took them: what a program has deleted and
 * holds open, or keeps in a directory that it closed, takes space and is not seen. A path that is too long can be nobody's output, and is the end of the program.
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
    const found = await measure(paths, bounds, over.signal)
    const failure = tooMuch(found, bounds) ?? tooLong(found) ?? (await noRoom(paths, reserve))
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

const tooLong = ({ hidden }: Found): Failure | undefined =>
  hidden === 'ENAMETOOLONG' ? { code: 'output-unsafe', detail: `the outputs hold ${hiding[hidden]}` } : undefined

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
