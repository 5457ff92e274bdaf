import { ApiError } from './api-error.ts'
import type { ApiRequest } from './exchange.ts'

export interface GuardOptions {
  /** Names by which the node may be asked, beside `localhost` and addresses in digits. */
  readonly hosts?: readonly string[]
  /** Origins of web pages that may use the API, beside the node's own: `https://example.org`. */
  readonly origins?: readonly string[]
}

export interface Guard {
  /**
   * Lets a request in, with the headers that its answer needs so that a page of an allowed origin may read it.
   *
   * @throws ApiError `host-refused`, `origin-refused`
   */
  admit(request: ApiRequest): Readonly<Record<string, string>>
}

const none: Readonly<Record<string, string>> = Object.freeze({})

// A web page reaches a loopback address only through a name that was pointed at it (DNS rebinding): digits are no name.
const digits = /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\])$/
const hostname = (host: string): string => host.toLowerCase().replace(/:\d{1,5}$/, '')

/** Keeps web pages out: those that reach the node by a name of their own, and those of other sites. There is no authentication; whoever may open a connection may use the API. */
export const createGuard = ({ hosts = [], origins = [] }: GuardOptions): Guard => {
  for (const origin of origins) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin)
      throw new RangeError(`createApi: ${JSON.stringify(origin)} is no origin such as https://example.org`)
  }
  const names = new Set(['localhost', ...hosts.map((host) => host.toLowerCase())])
  const allowed = new Set(origins)
  const ownName = (host: string): boolean => names.has(host) || host.endsWith('.localhost') || digits.test(host)
  return {
    admit: (request) => {
      const host = request.header('host') ?? ''
      if (!ownName(hostname(host))) throw new ApiError('host-refused', `the node is not called ${JSON.stringify(host.slice(0, 200))}`)
      const origin = request.header('origin')
      if (origin === undefined) {
        const site = request.header('sec-fetch-site')
        if (site !== undefined && site !== 'same-origin' && site !== 'none')
          throw new ApiError('origin-refused', 'the request comes from a web page of another site')
        return none
      }
      if (origin === `http://${host}` || origin === `https://${host}`) return none
      if (!allowed.has(origin)) throw new ApiError('origin-refused', `web pages of ${JSON.stringify(origin.slice(0, 200))} may not use this node`)
      return { 'access-control-allow-origin': origin, 'access-control-expose-headers': 'content-range, location, retry-after', vary: 'origin' }
    },
  }
}
