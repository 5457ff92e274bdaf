import { ApiError } from './api-error.ts'
import { createBodyBudget } from './body-budget.ts'
import type { Call } from './call.ts'
import { endpoints, type RouteName } from './endpoints.ts'
import { asApiError, errorBody, isAbort } from './error-body.ts'
import { type ApiAnswer, type ApiRequest, jsonAnswer } from './exchange.ts'
import { fetchHandler } from './fetch-handler.ts'
import { findRoute } from './find-route.ts'
import { createGuard, type GuardOptions } from './guard.ts'
import { blobHandlers } from './handlers/blob-handlers.ts'
import { jobHandlers } from './handlers/job-handlers.ts'
import { nodeHandlers } from './handlers/node-handlers.ts'
import { resultHandlers } from './handlers/result-handlers.ts'
import { streamHandlers } from './handlers/stream-handlers.ts'
import { type ApiLimits, resolveLimits } from './limits.ts'
import type { NodeService } from './node-service.ts'
import { readHeaders, readQuery } from './read-query.ts'
import type { Route } from './route.ts'
import { routes } from './routes.ts'
import { createStreams } from './streams.ts'

export interface ApiOptions extends GuardOptions {
  readonly limits?: ApiLimits
  /** Told of what went wrong inside the node: the caller is only told that something did. */
  readonly onFault?: (error: unknown, route: RouteName | undefined) => void
}

/** The API over a service, whatever its requests come by. */
export interface Api {
  /** Answers every request, and never rejects. */
  handle(request: ApiRequest): Promise<ApiAnswer>
  /** The same for the requests and responses of the web: for tests, and for other servers. */
  fetch(request: Request): Promise<Response>
  /** Tells an error of a stream that had begun. */
  fault(error: unknown): void
  /** From now on whoever waits is answered, and event streams end with a `retry`. */
  close(): void
}

const none: Readonly<Record<string, string>> = {}

const handlers: { readonly [K in RouteName]: (call: Call<K>) => ApiAnswer | Promise<ApiAnswer> } = {
  ...nodeHandlers,
  ...jobHandlers,
  ...streamHandlers,
  ...resultHandlers,
  ...blobHandlers,
}

const preflight = (request: ApiRequest, cors: Readonly<Record<string, string>>): ApiAnswer | undefined =>
  request.method === 'OPTIONS' && request.header('access-control-request-method') !== undefined
    ? {
        status: 204,
        headers: {
          ...cors,
          'access-control-allow-methods': [...new Set(Object.values(endpoints).map(({ method }) => method))].join(', '),
          'access-control-allow-headers': 'content-type, idempotency-key, last-event-id, range',
          'access-control-max-age': '600',
        },
      }
    : undefined

/**
 * @throws RangeError for an option that makes no sense
 *
 * @example
 * const api = createApi(service)
 * const response = await api.fetch(new Request('http://localhost/api/v1/health'))
 */
export const createApi = (service: NodeService, options: ApiOptions = {}): Api => {
  const limits = resolveLimits(options.limits)
  const guard = createGuard(options)
  const streams = createStreams(limits.streams)
  const bodies = createBodyBudget()
  const closing = new AbortController()
  let requests = 0

  const fault = (error: unknown, route?: RouteName): void => {
    const known = asApiError(error)
    if (!isAbort(error) && (known === undefined || known.code === 'node-fault')) options.onFault?.(error, route)
  }

  const refusal = (error: unknown, route: RouteName | undefined, extra: Readonly<Record<string, string>>, gone: boolean): ApiAnswer => {
    const broken = isAbort(error) && closing.signal.aborted
    const known = broken ? new ApiError('draining', 'the node ends', { cause: error }) : asApiError(error)
    // What fails because its caller is gone is no fault.
    if (!gone) fault(error, route)
    const status = known === undefined || known.status === 0 ? 500 : known.status
    return jsonAnswer(status, errorBody(known ?? error), {
      ...extra,
      'cache-control': 'no-store',
      ...(known?.retryAfter !== undefined && { 'retry-after': String(known.retryAfter) }),
      ...(known?.code === 'draining' && known.retryAfter === undefined && { 'retry-after': '5' }),
    })
  }

  const answer = async (request: ApiRequest): Promise<ApiAnswer> => {
    let route: RouteName | undefined
    let extra = none
    requests += 1
    try {
      extra = guard.admit(request)
      if (requests > limits.requests) throw new ApiError('too-many-requests', `${limits.requests} requests are open`, { retryAfter: 1 })
      const early = preflight(request, extra)
      if (early !== undefined) return early
      const mark = request.target.indexOf('?')
      const path = mark === -1 ? request.target : request.target.slice(0, mark)
      const {
        name,
        id,
        path: rest,
      } = findRoute(request.method, path, (methods) => {
        extra = { ...extra, allow: methods.join(', ') }
      })
      route = name
      const known: Route = routes[name]
      const call = {
        request,
        service,
        limits,
        streams,
        bodies,
        closing: closing.signal,
        fault: (error: unknown) => fault(error, name),
        id,
        path: rest,
        query: readQuery(known.query, mark === -1 ? '' : request.target.slice(mark + 1)),
        headers: readHeaders(known.headers, request.header),
      }
      const made = await (handlers[name] as (call: unknown) => ApiAnswer | Promise<ApiAnswer>)(call)
      return Object.keys(extra).length === 0 ? made : { ...made, headers: { ...made.headers, ...extra } }
    } catch (error) {
      return refusal(error, route, extra, request.signal.aborted)
    } finally {
      requests -= 1
    }
  }

  const api: Api = {
    handle: answer,
    fetch: (request) => fetchHandler(api, request),
    fault,
    close: () => closing.abort(),
  }
  return api
}
