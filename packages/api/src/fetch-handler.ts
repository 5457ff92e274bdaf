import type { ApiAnswer, ApiRequest } from './exchange.ts'
import { securityHeaders } from './security-headers.ts'

const none = async function* (): AsyncGenerator<Uint8Array, void, undefined> {}

const encoder = new TextEncoder()

const streamOf = (body: AsyncIterable<string | Uint8Array>, ended: (() => void) | undefined, fault: (error: unknown) => void): ReadableStream<Uint8Array> => {
  const iterator = body[Symbol.asyncIterator]()
  return new ReadableStream(
    {
      pull: async (controller) => {
        try {
          const next = await iterator.next()
          if (next.done !== true) return controller.enqueue(typeof next.value === 'string' ? encoder.encode(next.value) : next.value)
          controller.close()
        } catch (error) {
          fault(error)
          controller.error(new Error('the stream broke off'))
        }
        ended?.()
      },
      cancel: async () => {
        ended?.()
        await iterator.return?.()
      },
    },
    { highWaterMark: 0 },
  )
}

interface Answers {
  handle(request: ApiRequest): Promise<ApiAnswer>
  fault(error: unknown): void
}

/** Answers a request of the web. */
export const fetchHandler = async (api: Answers, request: Request): Promise<Response> => {
  const url = new URL(request.url)
  const answer = await api.handle({
    method: request.method,
    target: `${url.pathname}${url.search}`,
    header: (name) => request.headers.get(name) ?? (name === 'host' ? url.host : undefined),
    body: (request.body as AsyncIterable<Uint8Array> | null) ?? none(),
    signal: request.signal,
  })
  const { status, headers, body, ended } = answer
  const all = { ...securityHeaders, ...headers }
  const streamed = typeof body === 'object'
  if (streamed && request.method !== 'HEAD') return new Response(streamOf(body, ended, api.fault), { status, headers: all })
  if (streamed) await body[Symbol.asyncIterator]().return?.()
  ended?.()
  return new Response(request.method === 'HEAD' || streamed || body === undefined ? null : body, { status, headers: all })
}
