import { onTestFinished } from 'vitest'
import { type ApiClient, type ApiClientOptions, apiClient } from '../src/client.ts'
import { type ApiServer, type ServeOptions, serveApi } from '../src/index.ts'
import { type FakeNode, fakeNode } from './fake-node.ts'

export const job = 'apiVersion: skrei/v1\nname: hello\nengine:\n  type: noop\n'

export interface Served {
  readonly node: FakeNode
  readonly server: ApiServer
  readonly client: ApiClient
  readonly faults: unknown[]
}

/** A fake node behind a real server, gone when the test is. */
export const served = async (options: ServeOptions = {}, clientOptions: Partial<ApiClientOptions> = {}): Promise<Served> => {
  const node = fakeNode()
  const faults: unknown[] = []
  const server = await serveApi(node.service, { onFault: (error) => faults.push(error), ...options })
  onTestFinished(() => server.close({ deadline: 0 }))
  return { node, server, client: apiClient({ url: server.url, sleep: async () => undefined, ...clientOptions }), faults }
}

export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

export const bytesOf = async (content: AsyncIterable<Uint8Array>): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = []
  for await (const chunk of content) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** The code of what a promise rejects with. */
export const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'resolved',
    (error) => error.code,
  )

/** Waits until something holds: there is no event for it. */
export const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2))
}
