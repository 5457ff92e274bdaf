import { isUtf8 } from 'node:buffer'
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { type Problem as JobProblem, type JobSpec, limits, type Path, problems as problemKinds, readJob } from '@skrei/job-spec'
import { CliError, cliError, exitCodes, type Place, type Problem, systemCode } from './cli-errors.ts'

/** A job as it was read: out of a file, or out of the flags of a command. */
export interface JobFile {
  /** What relative paths in it are relative to. */
  readonly base: string
  /** Absolute paths below which it may read files of this machine. */
  readonly allow: readonly string[]
  readonly spec: JobSpec
  /** Where people wrote what a field says, or with `key` its key: in which file at which line and column, or in which flag. */
  readonly placeOf: (path: Path, at?: 'key') => Omit<Place, 'path'>
}

export type ReadJob = (options: { readonly signal: AbortSignal }) => Promise<JobFile>

/** The name of a job file for messages: as given, and `<stdin>` for `-`. */
export const nameOf = (file: string): string => (file === '-' ? '<stdin>' : file)

/** Reads and checks a job file; `-` is standard input. Throws a CliError with everything that is wrong. */
export const readJobFile = async (file: string, options: { readonly signal?: AbortSignal } = {}): Promise<JobFile> => {
  const name = nameOf(file)
  const text = await readText(file, name, options.signal)
  const result = readJob(text, { file: name })
  if (result.ok) {
    const base = file === '-' ? process.cwd() : dirname(resolve(file))
    return { base, allow: [base], spec: result.spec, placeOf: (path, at) => ({ file: name, ...result.places(path, at) }) }
  }
  const [first, ...rest] = result.problems.map(withRemedy)
  if (first === undefined) throw new Error(`${name} was refused without a problem`)
  const omitted: readonly Problem[] = result.omitted === 0 ? [] : [{ code: first.code, message: `and ${result.omitted} more problems`, file: name }]
  throw new CliError(exitCodes['bad-input'], [first, ...rest, ...omitted])
}

const withRemedy = ({ code, message, file, line, column, path }: JobProblem): Problem => ({
  code,
  message,
  file,
  line,
  column,
  path,
  remedy: problemKinds[code].remedy,
})

const readText = async (file: string, name: string, signal: AbortSignal | undefined): Promise<string> => {
  const chunks: Uint8Array[] = []
  let size = 0
  let handle: FileHandle | undefined
  try {
    if (file !== '-') handle = await openRegular(file, name)
    const input: AsyncIterable<Uint8Array> = handle?.createReadStream({ autoClose: false }) ?? process.stdin
    const aborted = new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason), { once: true }))
    aborted.catch(() => {})
    const reader = input[Symbol.asyncIterator]()
    for (let next = await Promise.race([reader.next(), aborted]); next.done !== true; next = await Promise.race([reader.next(), aborted])) {
      size += next.value.byteLength
      if (size > limits.bytes) throw tooLarge(name)
      chunks.push(next.value)
    }
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT') throw cliError('file-not-found', `there is no file ${name}`, { cause: error, place: { file: name } })
    // A socket cannot be opened.
    if (code === 'ENXIO') throw notRegular(name, 'a socket')
    if (code === 'EISDIR') throw cliError('file-unreadable', `${name} is a directory`, { cause: error, place: { file: name } })
    if (code === undefined) throw error
    throw cliError('file-unreadable', `cannot read ${name}: ${code}`, { cause: error, place: { file: name } })
  } finally {
    if (file === '-') process.stdin.destroy()
    await handle?.close()
  }
  return textOf(Buffer.concat(chunks), name)
}

/** Of other bytes something else would be read than its author wrote, and different files would become one job. */
const textOf = (bytes: Buffer, name: string): string => {
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
  if (isUtf8(bytes)) return text
  const read = Buffer.from(text)
  const bad = bytes.findIndex((byte, place) => byte !== read[place])
  const line = bytes.subarray(0, bad).toString().split('\n').length
  throw cliError('file-unreadable', `${name} is not UTF-8: byte ${bad + 1}, in line ${line}, is 0x${(bytes[bad] ?? 0).toString(16).padStart(2, '0')}`, {
    place: { file: name },
  })
}

/** What is no regular file may never end, or never begin: a pipe that nobody writes to would be waited for in `open` already. */
const openRegular = async (file: string, name: string): Promise<FileHandle> => {
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stat = await handle.stat()
    if (stat.isDirectory()) throw cliError('file-unreadable', `${name} is a directory`, { place: { file: name } })
    if (!stat.isFile()) throw notRegular(name, stat.isFIFO() ? 'a pipe' : 'a device')
    if (stat.size > limits.bytes) throw tooLarge(name)
    return handle
  } catch (error) {
    await handle.close()
    throw error
  }
}

const tooLarge = (name: string): CliError =>
  cliError('file-unreadable', `${name} is larger than a job file may be (${limits.bytes} bytes)`, { place: { file: name } })

const notRegular = (name: string, what: string): CliError => cliError('file-not-regular', `${name} is ${what}, no regular file`, { place: { file: name } })
