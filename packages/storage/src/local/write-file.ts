import { createHash } from 'node:crypto'
import { open, unlink } from 'node:fs/promises'
import { FailureError } from '@skrei/job-spec'
import { systemCode } from './system-error.ts'

/** What is known beforehand about the content of a file. */
export interface Expected {
  readonly maxBytes: number
  readonly size?: number | undefined
  /** SHA-256 in hexadecimal; all must match. */
  readonly hashes: readonly string[]
}

export const tooLarge = (maxBytes: number, what: string): FailureError => new FailureError('source-too-large', `${what} holds more than ${maxBytes} bytes`)

export const checkSize = (bytes: number, expected: Expected, what: string): void => {
  if (expected.size !== undefined && bytes !== expected.size)
    throw new FailureError('source-mismatch', `${what} holds ${bytes} bytes, ${expected.size} were planned`)
}

export const checkHash = (actual: string, expected: Expected, what: string): void => {
  for (const hash of expected.hashes) if (hash !== actual) throw new FailureError('source-mismatch', `${what} has the SHA-256 ${actual}, ${hash} was expected`)
}

/** Names the fault where a write failed because the disk is full; other errors stay what they are. */
export const writeError = (error: unknown): unknown => {
  const code = systemCode(error)
  return code === 'ENOSPC' || code === 'EDQUOT' ? new FailureError('disk-full', `writing failed with ${code}`, { cause: error }) : error
}

/**
 * Writes chunks to a new file, yields the bytes written so far (once, 0, for an empty file), checks size and hash. Whatever ends it
 * early, the caller's own `break` included, leaves no file.
 */
export async function* writeFile(
  into: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  expected: Expected,
  what: string,
  mode = 0o644,
): AsyncGenerator<number, void, undefined> {
  const hash = expected.hashes.length > 0 ? createHash('sha256') : undefined
  const handle = await open(into, 'wx', mode)
  let complete = false
  try {
    let bytes = 0
    for await (const chunk of chunks) {
      if (bytes + chunk.length > expected.maxBytes) throw tooLarge(expected.maxBytes, what)
      for (let written = 0; written < chunk.length; ) written += (await handle.write(chunk, written)).bytesWritten
      hash?.update(chunk)
      bytes += chunk.length
      yield bytes
    }
    checkSize(bytes, expected, what)
    if (hash !== undefined) checkHash(hash.digest('hex'), expected, what)
    if (bytes === 0) yield 0
    complete = true
  } catch (error) {
    throw writeError(error)
  } finally {
    await handle.close()
    if (!complete) await unlink(into)
  }
}
