import { createHash } from 'node:crypto'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { FailureError, type FileEntry, failureOf } from '@skrei/job-spec'
import { type Answer, contentLength, discard, type ExchangeOptions, exchange, failureOfStatus, isIdentity, shown } from './exchange.ts'
import { type Pace, pacedBody, within } from './paced-body.ts'

export interface DownloadOptions extends Omit<ExchangeOptions, 'method' | 'signal'>, Pace {
  readonly connectTimeout: number
  readonly attempts: number
  readonly retryDelay: number
}

/** What is on the disk so far, and what is needed to go on from there. */
interface Progress {
  readonly handle: FileHandle
  bytes: number
  hash: ReturnType<typeof createHash>
  /** The strong ETag of what the bytes are of; without one a broken download starts again. */
  etag: string | undefined
}

const strongEtag = (answer: Answer): string | undefined => {
  const etag = answer.header('etag')
  return etag !== undefined && /^"[\x21\x23-\x7e]*"$/.test(etag) ? etag : undefined
}

const restart = async (progress: Progress): Promise<void> => {
  await progress.handle.truncate(0)
  progress.bytes = 0
  progress.hash = createHash('sha256')
  progress.etag = undefined
}

/** Checks that an answer goes on exactly where the file ends, or starts anew; tells how long the whole is, where that is known. */
const begin = async (answer: Answer, asked: boolean, progress: Progress): Promise<number | undefined> => {
  const { status, url } = answer
  if (status === 206 && asked) {
    const [, start, total] = /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15}|\*)$/.exec(answer.header('content-range') ?? '') ?? []
    const fits = Number(start) === progress.bytes && (answer.header('etag') ?? progress.etag) === progress.etag
    if (!fits || total === undefined) {
      await restart(progress)
      throw new FailureError('source-unreachable', `${shown(url)} answered with another range than was asked for`)
    }
    return total === '*' ? undefined : Number(total)
  }
  if (status === 416 && asked) {
    await restart(progress)
    throw new FailureError('source-unreachable', `${shown(url)} became shorter while it was read`)
  }
  if (status !== 200 && status !== 203) throw failureOfStatus(status, url)
  await restart(progress)
  progress.etag = strongEtag(answer)
  return contentLength(answer)
}

/** One try; goes on where the last one broke off if the server can. */
async function* attempt(
  url: URL,
  file: FileEntry,
  maxBytes: number,
  progress: Progress,
  options: DownloadOptions,
  signal: AbortSignal | undefined,
): AsyncGenerator<number, void, undefined> {
  const controller = new AbortController()
  const stop = (error: unknown) => controller.abort(error)
  const abort = () => stop(signal?.reason)
  signal?.addEventListener('abort', abort)
  const tooLarge = (from: URL) => new FailureError('source-too-large', `${shown(from)} holds more than ${maxBytes} bytes`)
  try {
    const asked = progress.bytes > 0 && progress.etag !== undefined
    const range: Record<string, string> = asked ? { range: `bytes=${progress.bytes}-`, 'if-range': progress.etag ?? '' } : {}
    const headers = { ...options.headers, ...range }
    const patience = options.connectTimeout + options.silenceTimeout
    const answer = await within(
      patience,
      stop,
      () => `${shown(url)} did not answer within ${patience / 1000} s`,
      () => exchange(url, { ...options, method: 'GET', headers, signal: controller.signal }),
    )
    try {
      const total = await begin(answer, asked, progress)
      if (!isIdentity(answer))
        throw new FailureError(
          'source-invalid',
          `${shown(answer.url)} sends its content only as content-encoding ${answer.header('content-encoding')}, which is not undone here`,
        )
      if (total !== undefined && total > maxBytes) throw tooLarge(answer.url)
      if (total !== undefined && file.size !== undefined && total !== file.size)
        throw new FailureError('source-mismatch', `${shown(answer.url)} holds ${total} bytes, ${file.size} were planned`)
      for await (const chunk of pacedBody(answer.body, answer.url, options, controller.signal, stop)) {
        if (progress.bytes + chunk.length > maxBytes) throw tooLarge(answer.url)
        for (let written = 0; written < chunk.length; ) {
          written += (await progress.handle.write(chunk, written, chunk.length - written, progress.bytes + written)).bytesWritten
        }
        progress.hash.update(chunk)
        progress.bytes += chunk.length
        yield progress.bytes
      }
      if (total !== undefined && progress.bytes !== total)
        throw new FailureError('source-unreachable', `${shown(answer.url)} sent ${progress.bytes} of ${total} bytes`)
    } finally {
      discard(answer.body)
    }
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

const check = (url: URL, file: FileEntry, progress: Progress): void => {
  if (file.size !== undefined && progress.bytes !== file.size)
    throw new FailureError('source-mismatch', `${shown(url)} holds ${progress.bytes} bytes, ${file.size} were planned`)
  const actual = progress.hash.digest('hex')
  for (const hash of [file.hash, file.source.sha256]) {
    if (hash !== undefined && hash !== actual) throw new FailureError('source-mismatch', `${shown(url)} has the SHA-256 ${actual}, ${hash} was expected`)
  }
}

const diskFull = (error: unknown): unknown => {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'ENOSPC' || code === 'EDQUOT' ? new FailureError('disk-full', `writing failed with ${code}`, { cause: error }) : error
}

/** Writes the content of a URL to a new file; yields the bytes so far, never falling. Tries again where the network or the server failed. */
export async function* download(
  url: URL,
  file: FileEntry,
  into: string,
  maxBytes: number,
  options: DownloadOptions,
  signal: AbortSignal | undefined,
): AsyncGenerator<number, void, undefined> {
  const handle = await open(into, 'wx', 0o644)
  const progress: Progress = { handle, bytes: 0, hash: createHash('sha256'), etag: undefined }
  let complete = false
  let told = 0
  try {
    for (let tries = 1; ; tries += 1) {
      try {
        for await (const bytes of attempt(url, file, maxBytes, progress, options, signal)) {
          if (bytes <= told) continue
          told = bytes
          yield told
        }
        break
      } catch (error) {
        signal?.throwIfAborted()
        const code = failureOf(error)?.code
        if ((code !== 'source-unreachable' && code !== 'source-timeout') || tries >= options.attempts) throw error
      }
      await delay(options.retryDelay * 2 ** (tries - 1), undefined, signal === undefined ? {} : { signal }).catch(() => signal?.throwIfAborted())
    }
    check(url, file, progress)
    if (told === 0) yield 0
    complete = true
  } catch (error) {
    throw diskFull(error)
  } finally {
    await handle.close()
    if (!complete) await unlink(into)
  }
}
