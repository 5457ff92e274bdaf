import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface TestServer extends AsyncDisposable {
  readonly origin: string
  /** `GET /path` lines with their headers, in order. */
  readonly requests: { readonly line: string; readonly headers: Readonly<Record<string, string | string[] | undefined>> }[]
}

/** A real HTTP server on loopback; ends with all its connections. */
export const testServer = async (
  listener: RequestListener,
  make: (listener: RequestListener) => Server = createServer,
  scheme = 'http',
): Promise<TestServer> => {
  const requests: TestServer['requests'] = []
  const server = make((request, response) => {
    requests.push({ line: `${request.method} ${request.url}`, headers: request.headers })
    listener(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
