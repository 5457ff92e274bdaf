import { FailureError, failureOf } from '@skrei/job-spec'
import type { Dispatcher } from 'undici'
import { checkLiteral } from './check-literal.ts'

/** A URL for people: without its query, which may carry a permission. */
export const shown = (url: URL): string => `${url.origin}${url.pathname}`.slice(0, 1000)

/** The URL of a source; `source-invalid` for what this driver does not open. */
export const parseUrl = (text: string, base?: URL): URL => {
  const url = URL.parse(text, base?.href)
  if (url === null) throw new FailureError('source-invalid', `not a URL: ${text.slice(0, 200)}`)
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw new FailureError('source-invalid', `expected an http or https URL, got ${url.protocol}`)
  if (url.username !== '' || url.password !== '')
    throw new FailureError('source-invalid', `${shown(url)} carries a user name or a password: credentials do not belong into a job`)
  return url
}

/** What an error of the connection means for the source. */
export const failureOfConnection = (error: unknown, url: URL): unknown => {
  if (failureOf(error) !== undefined) return error
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
  const detail = `${shown(url)}: ${error instanceof Error ? error.message : String(error)}${code === '' ? '' : ` (${code})`}`
  // Undici's parser errors do not all have a code; the one that stands for an early end is a broken connection.
  const unparsable = error instanceof Error && error.name === 'HTTPParserError' && code !== 'HPE_INVALID_EOF_STATE'
  const malformed = unparsable || code === 'UND_ERR_HEADERS_OVERFLOW'
  return new FailureError(malformed ? 'source-invalid' : 'source-unreachable', detail, { cause: error })
}

/** Answers that ask to come again later, though they are 4xx: request timeout, too early, too many requests. */
const later = [408, 425, 429]

/** The failure that a status other than the wanted ones stands for. */
export const failureOfStatus = (status: number, url: URL): FailureError => {
  const detail = `${shown(url)} answered HTTP ${status}`
  if (status === 404 || status === 410) return new FailureError('source-not-found', detail)
  if (status >= 500 || later.includes(status)) return new FailureError('source-unreachable', detail)
  if (status >= 400) return new FailureError('source-refused', detail)
  return new FailureError('source-invalid', detail)
}

export interface Answer {
  /** The URL that answered, after all redirects. */
  readonly url: URL
  readonly status: number
  /** The value of a header that is there once. */
  readonly header: (name: string) => string | undefined
  readonly body: Dispatcher.ResponseData['body']
}

export interface ExchangeOptions {
  readonly method: 'GET' | 'HEAD'
  readonly headers: Readonly<Record<string, string>>
  /** Opens the connections; made by the first that asks. */
  readonly dispatcher: () => Promise<Dispatcher>
  readonly maxRedirects: number
  readonly allowPrivateAddresses: boolean
  readonly signal: AbortSignal
}

const redirects = [301, 302, 303, 307, 308]

/** Gives a body up, and its connection with it: what else a server might send is not waited for. */
export const discard = (body: Answer['body']): void => {
  body.on('error', () => undefined)
  body.destroy()
}

/** One request, followed through its redirects. Every address on the way is checked. Nothing but the headers given here is ever sent. */
export const exchange = async (from: URL, options: ExchangeOptions): Promise<Answer> => {
  const { method, headers, signal } = options
  const dispatcher = await options.dispatcher()
  let url = from
  for (let hops = 0; ; hops += 1) {
    checkLiteral(url.hostname, options.allowPrivateAddresses)
    let response: Dispatcher.ResponseData
    try {
      // Undici's own timeouts are off: a server that sends a byte now and then would pass them. The caller's signal carries ours.
      response = await dispatcher.request({
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method,
        headers: { ...headers },
        signal,
        headersTimeout: 0,
        bodyTimeout: 0,
      })
    } catch (error) {
      signal.throwIfAborted()
      throw failureOfConnection(error, url)
    }
    const header = (name: string) => {
      const value = response.headers[name]
      return typeof value === 'string' ? value : undefined
    }
    if (!redirects.includes(response.statusCode)) return { url, status: response.statusCode, header, body: response.body }
    discard(response.body)
    const location = header('location')
    if (location === undefined) throw new FailureError('source-invalid', `${shown(url)} answered HTTP ${response.statusCode} without saying where to go`)
    if (hops === options.maxRedirects) throw new FailureError('source-invalid', `${shown(from)} redirects more than ${options.maxRedirects} times`)
    const next = parseUrl(location, url)
    if (url.protocol === 'https:' && next.protocol === 'http:') throw new FailureError('source-refused', `${shown(url)} redirects from https to http`)
    url = next
  }
}

/** The length that a header tells; undefined where it tells none that can be believed. */
export const contentLength = (answer: Answer): number | undefined => {
  const text = answer.header('content-length')
  if (text === undefined || !/^\d{1,16}$/.test(text)) return undefined
  const length = Number(text)
  return Number.isSafeInteger(length) ? length : undefined
}

/** Whether the answer is the content itself, not a compressed form of it. */
export const isIdentity = (answer: Answer): boolean => ['', 'identity'].includes(answer.header('content-encoding')?.trim().toLowerCase() ?? '')
