import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, isIP, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { ApiError } from './api-error.ts'
import { type Api, type ApiOptions, createApi } from './create-api.ts'
import { errorBody } from './error-body.ts'
import type { ApiAnswer, ApiRequest } from './exchange.ts'
import { resolveLimits } from './limits.ts'
import type { NodeService } from './node-service.ts'
import { securityHeaders } from './security-headers.ts'

export interface ServeOptions extends ApiOptions {
  /** Address or name to listen at; default 127.0.0.1. There is no authentication: whoever reaches it may use the node. */
  readonly host?: string
  /** Default 0: any free one. */
  readonly port?: number
}

export interface ApiServer extends AsyncDisposable {
  /** Where this machine reaches it, such as `http://127.0.0.1:1212`. */
  readonly url: string
  readonly port: number
  /**
   * Takes no more connections, answers those who wait, ends event streams with a `retry`, and lets other requests finish; those that have not after `deadline` milliseconds
   * (default 10,000) are cut off. The same promise each time.
   */
  close(options?: { readonly deadline?: number }): Promise<void>
}

/** After so long a silence the system asks whether the client's machine is still there; milliseconds. */
const keepAliveDelay = 60_000
/** What is still read of a body that nobody wants, so that its sender sees the answer. */
const unwantedBytes = 16 * 2 ** 20
const unwantedTime = 5000

/** Lets the rest of a body run out for a while, then ends the connection. */
const discard = (incoming: IncomingMessage): void => {
  if (incoming.complete || incoming.destroyed) return
  let bytes = 0
  const stop = () => incoming.socket.destroy()
  const timer = setTimeout(stop, unwantedTime)
  incoming.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > unwantedBytes) stop()
  })
  incoming.on('error', () => undefined)
  incoming.once('close', () => clearTimeout(timer))
  incoming.resume()
}

const drained = (outgoing: ServerResponse): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      outgoing.off('drain', done)
      outgoing.off('close', done)
      resolve()
    }
    outgoing.once('drain', done)
    outgoing.once('close', done)
    if (outgoing.destroyed) done()
  })

/** Whose turn it is on a socket: while a client waits for the node, nothing may move for as long as that takes. */
interface Turns {
  ofNode(socket: Socket): void
  ofClient(socket: Socket): void
}

const sendStream = async (
  outgoing: ServerResponse,
  body: AsyncIterable<string | Uint8Array>,
  { fault, turns, socket }: { readonly fault: (error: unknown) => void; readonly turns: Turns; readonly socket: Socket },
): Promise<void> => {
  const iterator = body[Symbol.asyncIterator]()
  try {
    while (!outgoing.destroyed) {
      const next = await iterator.next()
      if (next.done === true) {
        turns.ofClient(socket)
        outgoing.end()
        return
      }
      if (outgoing.write(next.value) || outgoing.destroyed) continue
      turns.ofClient(socket)
      await drained(outgoing)
      turns.ofNode(socket)
    }
  } catch (error) {
    // Of a client that is gone, only that its stream was aborted.
    if (!outgoing.destroyed) fault(error)
    outgoing.destroy()
  } finally {
    await iterator.return?.()
  }
}

const requestOf = (incoming: IncomingMessage, outgoing: ServerResponse): ApiRequest => {
  let controller: AbortController | undefined
  return {
    method: incoming.method ?? 'GET',
    target: incoming.url ?? '/',
    header: (name) => {
      const value = incoming.headers[name]
      return Array.isArray(value) ? value.join(', ') : value
    },
    // To stop reading is not to hang up: there is still an answer.
    body: { [Symbol.asyncIterator]: () => incoming.iterator({ destroyOnReturn: false }) },
    get signal() {
      if (controller === undefined) {
        const made = new AbortController()
        controller = made
        if (outgoing.destroyed) made.abort()
        else outgoing.once('close', () => outgoing.writableFinished || made.abort())
      }
      return controller.signal
    },
  }
}

const statusOfBroken: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

/** What is no HTTP is answered in the same shape as everything else. */
const answerBroken = (error: Error & { readonly code?: string }, socket: Duplex): void => {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const body = JSON.stringify(errorBody(new ApiError('bad-request', 'the request is no HTTP/1.1, or its head is too large or too slow')))
  const status = statusOfBroken[error.code ?? ''] ?? '400 Bad Request'
  socket.end(`HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`)
}

const listener = (api: Api, turns: Turns, server: () => Server, closing: () => boolean) => {
  const send = async (incoming: IncomingMessage, outgoing: ServerResponse, { status, headers, body, ended }: ApiAnswer): Promise<void> => {
    const all = { ...securityHeaders, ...headers, ...(closing() && { connection: 'close' }) }
    try {
      if (typeof body !== 'object' || incoming.method === 'HEAD') turns.ofClient(incoming.socket)
      if (typeof body !== 'object') {
        outgoing.writeHead(status, status === 204 ? all : { ...all, 'content-length': body === undefined ? 0 : Buffer.byteLength(body) })
        outgoing.end(body)
      } else if (incoming.method === 'HEAD' || outgoing.destroyed) {
        outgoing.writeHead(status, all)
        outgoing.end()
        await body[Symbol.asyncIterator]().return?.()
      } else {
        outgoing.writeHead(status, all)
        await sendStream(outgoing, body, { fault: api.fault, turns, socket: incoming.socket })
      }
    } finally {
      ended?.()
    }
    discard(incoming)
    if (closing()) server().closeIdleConnections()
  }
  return (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    // A client that is gone shows by `close`.
    outgoing.on('error', () => undefined)
    turns.ofNode(incoming.socket)
    api
      .handle(requestOf(incoming, outgoing))
      .then((answer) => send(incoming, outgoing, answer))
      .catch((error) => {
        api.fault(error)
        outgoing.destroy()
      })
  }
}

/**
 * Serves the API over HTTP/1.1. Rejects with what `listen` says, such as `EADDRINUSE` in `code`.
 *
 * @throws RangeError for an option that makes no sense
 *
 * @example
 * await using server = await serveApi(service, { port: 1212 })
 * console.log(server.url)
 */
export const serveApi = async (service: NodeService, options: ServeOptions = {}): Promise<ApiServer> => {
  const { host = '127.0.0.1', port = 0, hosts = [] } = options
  const limits = resolveLimits(options.limits)
  const api = createApi(service, { ...options, hosts: [...hosts, ...(isIP(host) === 0 ? [host] : [])] })
  let closed: Promise<void> | undefined
  const waited = new WeakSet<Socket>()
  const server: Server = createServer(
    {
      maxHeaderSize: 16_384,
      headersTimeout: 10_000,
      requestTimeout: 0,
      connectionsCheckingInterval: 5000,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveDelay,
    },
    listener(
      api,
      { ofNode: (socket) => void waited.add(socket), ofClient: (socket) => void waited.delete(socket) },
      () => server,
      () => closed !== undefined,
    ),
  )
  server.maxConnections = 2 * (limits.requests + limits.streams)
  server.timeout = limits.clientSilence
  server.on('timeout', (socket: Socket) => {
    if (!waited.has(socket) || socket.writableLength > 0) socket.destroy()
  })
  server.on('clientError', answerBroken)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  server.on('error', (error) => api.fault(error))
  const address = server.address() as AddressInfo
  const reached = address.address === '0.0.0.0' ? '127.0.0.1' : address.address === '::' ? '::1' : host
  const close = (deadline: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(() => server.closeAllConnections(), deadline)
      server.close(() => {
        clearTimeout(timer)
        resolve()
      })
      api.close()
    })
  return {
    url: `http://${isIP(reached) === 6 ? `[${reached}]` : reached}:${address.port}`,
    port: address.port,
    close: ({ deadline = 10_000 } = {}) => {
      closed ??= close(deadline)
      return closed
    },
    [Symbol.asyncDispose]: () => {
      closed ??= close(10_000)
      return closed
    },
  }
}
