import { FailureError, type SourceSpec } from '@skrei/job-spec'
import type { Source } from '@skrei/storage'
import type { Agent } from 'undici'
import { assessor } from './assess.ts'
import { download } from './download.ts'
import { parseUrl } from './exchange.ts'
import { fileNamer } from './file-name.ts'
import { type Resolve, systemResolve } from './resolve.ts'

export type { Resolve, ResolvedAddress } from './resolve.ts'

/** All times in milliseconds. */
export interface HttpsSourceOptions {
  /** Whether addresses outside the public Internet (private, loopback, link-local …) are opened. Default false. */
  readonly allowPrivateAddresses?: boolean
  /** How long making a connection may take. Default 10 s. */
  readonly connectTimeout?: number
  /** How long a server may send nothing; the time to answer is `connectTimeout` plus this. Default 30 s. */
  readonly silenceTimeout?: number
  /** The least average rate over `silenceTimeout`. Default 1024. */
  readonly minBytesPerSecond?: number
  /** How often one `stage` tries in all. Default 3. */
  readonly attempts?: number
  /** The pause before the second try, doubled before each further one. Default 500 ms. */
  readonly retryDelay?: number
  /** How many redirects are followed. Default 5. */
  readonly maxRedirects?: number
  /** How long one `assess` may take, whatever the number of URLs. Default 3 s. */
  readonly assessTimeout?: number
  /** How long `assess` believes what it found out. Default 60 s. */
  readonly assessCache?: number
  /** Default `skrei`. */
  readonly userAgent?: string
  /** Certificate authorities to trust beside the usual ones, in PEM. */
  readonly ca?: readonly string[]
  /** How names become addresses. Default: the operating system. */
  readonly resolve?: Resolve
}

const defaults = {
  allowPrivateAddresses: false,
  connectTimeout: 10_000,
  silenceTimeout: 30_000,
  minBytesPerSecond: 1024,
  attempts: 3,
  retryDelay: 500,
  maxRedirects: 5,
  assessTimeout: 3000,
  assessCache: 60_000,
  userAgent: 'skrei',
  ca: [],
  resolve: systemResolve,
} satisfies Required<HttpsSourceOptions>

const urlsOf = (source: SourceSpec): { readonly urls: readonly string[]; readonly alone: boolean } => {
  if (source.type !== 'https') throw new FailureError('source-invalid', `the https driver was given a source of type ${source.type}`)
  const { url, urls = [], sha256 } = source
  if ((url === undefined) === (urls.length === 0)) throw new FailureError('source-invalid', 'an https source has either url or urls')
  if (url !== undefined) return { urls: [url], alone: true }
  if (sha256 !== undefined) throw new FailureError('source-invalid', 'sha256 pins one file: expected url, not urls')
  return { urls, alone: false }
}

/**
 * Files from `http` and `https` URLs. Keeps idle connections for a few seconds; they do not keep the process alive. Disposing of it closes them.
 *
 * @example
 * const source = httpsSource()
 * for await (const file of source.list({ type: 'https', url: 'https://example.org/a.csv' })) {
 *   for await (const bytes of source.stage(file, '/tmp/a.csv', { maxBytes: 1e9 })) report(bytes)
 * }
 */
export const httpsSource = (options: HttpsSourceOptions = {}): Source & AsyncDisposable => {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as HttpsSourceOptions
  const { userAgent, ca, resolve, ...resolved } = Object.freeze({ ...defaults, ...given })
  let agent: Promise<Agent> | undefined
  // Loaded by the first request: undici is 1.4 MB of source and takes 12 MB, and a node may never fetch from a URL.
  const dispatcher = (): Promise<Agent> => {
    agent ??= import('./guarded-agent.ts').then(({ guardedAgent }) => guardedAgent({ ...resolved, ca, resolve }))
    return agent
  }
  const shared = { ...resolved, dispatcher, headers: { 'user-agent': userAgent, accept: '*/*', 'accept-encoding': 'identity' } }
  const assess = assessor(shared)
  return {
    type: 'https',

    list: async function* (source, { signal } = {}) {
      signal?.throwIfAborted()
      const { urls, alone } = urlsOf(source)
      const { sha256 } = source
      const nameOf = fileNamer()
      for (const url of urls) {
        signal?.throwIfAborted()
        const entry = { path: nameOf(parseUrl(url)), source: { type: 'https', url } } as const
        if (!alone) yield entry
        else if (sha256 === undefined) yield { ...entry, alone }
        else yield { path: entry.path, source: { ...entry.source, sha256 }, hash: sha256, alone }
      }
    },

    assess: async (source, { signal } = {}) => {
      signal?.throwIfAborted()
      try {
        return await assess(urlsOf(source).urls, signal)
      } catch (error) {
        if (!(error instanceof FailureError)) throw error
        return { held: false, refusals: [] }
      }
    },

    stage: async function* (file, into, { signal, maxBytes }) {
      signal?.throwIfAborted()
      const { urls, alone } = urlsOf(file.source)
      const [url] = urls
      if (url === undefined || !alone) throw new FailureError('source-invalid', 'one URL is staged at a time')
      yield* download(parseUrl(url), file, into, maxBytes, shared, signal)
    },

    [Symbol.asyncDispose]: async () => await (await agent)?.destroy(),
  }
}
