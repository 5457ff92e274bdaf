import { ApiError } from '../api-error.ts'
import type { ErrorBody } from '../schema/problem.ts'

/** The largest JSON or text that is read as a whole, in bytes. */
const maxBytes = 64 * 2 ** 20

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value)

export const notSkrei = (url: string, what: string): ApiError => new ApiError('not-skrei', `what answers at ${url} is no skrei node: ${what}`)

/** Why a call of `fetch` came to nothing. */
export const unreachable = (url: string, error: unknown): ApiError => {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  const code = isRecord(cause) && typeof cause['code'] === 'string' ? cause['code'] : undefined
  const detail = code ?? (cause instanceof Error ? cause.message : String(cause))
  return new ApiError('unreachable', `no answer from ${url}: ${detail}`, { cause: error })
}

/** The body as text. Rejects with an `ApiError`: `unreachable` where it broke off, `not-skrei` where it does not end. */
export const readText = async (response: Response, url: string): Promise<string> => {
  const reader = response.body?.getReader()
  if (reader === undefined) return ''
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  while (true) {
    const next = await reader.read().catch((error) => {
      throw unreachable(url, error)
    })
    if (next.done) return text + decoder.decode()
    bytes += next.value.length
    if (bytes > maxBytes) {
      await reader.cancel().catch(() => undefined)
      throw notSkrei(url, `it answers with more than ${maxBytes} bytes`)
    }
    text += decoder.decode(next.value, { stream: true })
  }
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const text = (value: unknown): value is string => typeof value === 'string'

const retryAfterOf = (response: Response): { readonly retryAfter?: number } => {
  const seconds = response.headers.get('retry-after') ?? ''
  return /^\d{1,6}$/.test(seconds) ? { retryAfter: Number(seconds) } : {}
}

/** The error of a body such as `{ error: { code, message } }`; undefined where it has none. */
export const errorOf = (body: unknown, status: number, more: { readonly retryAfter?: number } = {}): ApiError | undefined => {
  const error = isRecord(body) ? body['error'] : undefined
  if (!isRecord(error) || !text(error['code']) || !text(error['message'])) return undefined
  const { code, message, ...rest } = error as ErrorBody['error']
  return new ApiError(code, message, { ...rest, ...more, status })
}

/** Rejects with what a response that is no success says. */
const requireSuccess = async (response: Response, url: string): Promise<void> => {
  if (response.ok) return
  const said = errorOf(parsed(await readText(response, url)), response.status, retryAfterOf(response))
  throw said ?? notSkrei(url, `it answers with status ${response.status}, and none of our errors`)
}

/** The JSON object of a success, which has a field `key`. */
export const readJson = async (response: Response, url: string, key: string): Promise<unknown> => {
  await requireSuccess(response, url)
  const body = parsed(await readText(response, url))
  if (!isRecord(body) || !Object.hasOwn(body, key))
    throw notSkrei(url, `it answers with ${response.headers.get('content-type') ?? 'something'} that has no \`${key}\``)
  return body
}

/** Rejects with what a response says that is no success, or no content of that type. */
export const requireType = async (response: Response, url: string, type: string): Promise<void> => {
  await requireSuccess(response, url)
  const given = response.headers.get('content-type') ?? 'something'
  if (given.startsWith(type)) return
  await response.body?.cancel().catch(() => undefined)
  throw notSkrei(url, `it answers with ${given} instead of ${type}`)
}
