import { failureOf, type Refusal } from '@skrei/job-spec'
import { contentLength, discard, type ExchangeOptions, exchange, isIdentity, parseUrl } from './exchange.ts'
import { limiter } from './limiter.ts'

export interface AssessorOptions extends Omit<ExchangeOptions, 'method' | 'signal'> {
  /** For all URLs of a source together, in milliseconds. */
  readonly assessTimeout: number
  /** How long an answer is believed, in milliseconds. */
  readonly assessCache: number
}

interface Known {
  readonly at: number
  readonly bytes?: number
  readonly refusal?: Refusal
}

/** Sources of more URLs are of unknown size, and only the first of them are looked at. */
const maxAssessedUrls = 64
const maxCached = 4096

/** Asks servers for sizes, with HEAD, a few at a time, and remembers what they said for a while. A server that does not answer well is just unknown. */
export const assessor = (options: AssessorOptions) => {
  const cache = new Map<string, Known>()
  const inTurn = limiter(8)

  const ask = async (text: string, signal: AbortSignal, caller: AbortSignal | undefined): Promise<Known> => {
    const at = performance.now()
    const cached = cache.get(text)
    if (cached !== undefined && at - cached.at < options.assessCache) return cached
    let known: Known = { at }
    try {
      const answer = await exchange(parseUrl(text), { ...options, method: 'HEAD', signal })
      discard(answer.body)
      const bytes = answer.status === 200 && isIdentity(answer) ? contentLength(answer) : undefined
      if (bytes !== undefined) known = { at, bytes }
    } catch (error) {
      const failure = failureOf(error)
      if (failure?.code === 'source-forbidden') known = { at, refusal: { code: 'source-forbidden', detail: failure.detail } }
    }
    // What a caller broke off says nothing about the server.
    if (caller?.aborted) return known
    cache.delete(text)
    cache.set(text, known)
    const oldest = cache.keys().next()
    if (cache.size > maxCached && !oldest.done) cache.delete(oldest.value)
    return known
  }

  return async (
    urls: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<{ readonly bytes?: number; readonly held: false; readonly refusals: readonly Refusal[] }> => {
    signal?.throwIfAborted()
    const controller = new AbortController()
    const abort = () => controller.abort()
    const timer = setTimeout(abort, options.assessTimeout)
    signal?.addEventListener('abort', abort)
    let known: Known[]
    try {
      known = await Promise.all(urls.slice(0, maxAssessedUrls).map((url) => inTurn(() => ask(url, controller.signal, signal))))
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
    signal?.throwIfAborted()
    const refusal = known.find((one) => one.refusal !== undefined)?.refusal
    const sizes = known.map((one) => one.bytes).filter((bytes) => bytes !== undefined)
    const answer = { held: false, refusals: refusal === undefined ? [] : [refusal] } as const
    return sizes.length < urls.length ? answer : { ...answer, bytes: sizes.reduce((sum, bytes) => sum + bytes, 0) }
  }
}
