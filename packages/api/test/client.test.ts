import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { type ApiClient, type ApiClientOptions, apiClient } from '../src/client.ts'
import { codeOf, job, served } from './served.ts'

const answering = async (listener: RequestListener, options: Partial<ApiClientOptions> = {}): Promise<ApiClient> => {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return apiClient({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sleep: async () => undefined, ...options })
}

const drained = async (content: AsyncIterable<unknown>): Promise<void> => {
  for await (const _ of content);
}

test.each<[string, number, string, string]>([
  ['a page', 200, 'text/html', '<html><body>router login</body></html>'],
  ['a page that says that something is missing', 404, 'text/html', '<h1>Not found</h1>'],
  ['a page that sends elsewhere', 302, 'text/html', ''],
  ['broken JSON', 200, 'application/json', '{"nodeId": '],
  ['other JSON', 200, 'application/json', '{"hello": "world"}'],
  ['a list', 200, 'application/json', '[]'],
  ['null', 200, 'application/json', 'null'],
  ['an error of another kind', 500, 'application/json', '{"error": "oops"}'],
  ['nothing', 200, 'application/json', ''],
])('a server that answers with %s is no node', async (_, status, type, body) => {
  const client = await answering((request, response) => {
    request.resume()
    response.writeHead(status, { 'content-type': type, ...(status === 302 && { location: 'http://127.0.0.1:1/' }) }).end(body)
  })
  const calls = [
    client.health(),
    client.node(),
    client.nodes(),
    client.jobs(),
    client.job('abcd'),
    client.submit(job),
    client.submit(job, { key: 'k' }),
    client.spec('abcd'),
    client.result('abcd'),
    client.addBlob(new Uint8Array(1)),
    drained(client.events('abcd')),
    drained(client.logs('abcd')),
    client.metrics(),
    drained(client.archive('abcd')),
    client.resultFile('abcd', 'a'),
  ]
  expect(await Promise.all(calls.map(codeOf))).toEqual(calls.map(() => 'not-skrei'))
})

test('an address at which nothing listens is said to be unreachable, with why', async () => {
  const client = apiClient({ url: 'http://127.0.0.1:1', sleep: async () => undefined })
  await expect(client.health()).rejects.toMatchObject({
    code: 'unreachable',
    status: 0,
    message: expect.stringMatching(/http:\/\/127\.0\.0\.1:1: (ECONNREFUSED|bad port)/),
  })
  expect(() => apiClient({ url: 'ftp://localhost' })).toThrow('no http or https URL')
  expect(() => apiClient({ url: 'localhost' })).toThrow()
})

test('an answer without end is not kept', async () => {
  const chunk = Buffer.alloc(2 ** 20, 0x20)
  const client = await answering((_, response) => {
    const more = () => {
      while (response.write(chunk));
    }
    response.writeHead(200, { 'content-type': 'application/json' }).on('drain', more)
    more()
  })
  await expect(client.health()).rejects.toMatchObject({ code: 'not-skrei', message: expect.stringContaining('bytes') })
})

test('an event without end is not kept', async () => {
  const chunk = Buffer.alloc(2 ** 20, 0x61)
  const client = await answering((_, response) => {
    const more = () => {
      while (response.write(chunk));
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' }).on('drain', more)
    response.write('data: ')
    more()
  })
  expect(await codeOf(drained(client.events('abcd')))).toBe('not-skrei')
})

test('what is worth it is tried again, with growing pauses, and only so often', async () => {
  const pauses: number[] = []
  const told: string[] = []
  let asked = 0
  const client = await answering(
    (_, response) => {
      asked += 1
      response.destroy()
    },
    {
      retry: { attempts: 6, delay: 100, longest: 1000 },
      onRetry: (error) => told.push((error as { readonly code: string }).code),
      random: () => 0.5,
      sleep: async (milliseconds) => void pauses.push(milliseconds),
    },
  )
  expect(await codeOf(drained(client.events('abcd')))).toBe('unreachable')
  expect(pauses).toEqual([75, 150, 300, 600, 750])
  expect(told).toEqual(pauses.map(() => 'unreachable'))
  // `fetch` may ask once more by itself on a connection that was reused.
  expect(asked).toBeGreaterThanOrEqual(6)
  pauses.length = 0
  expect(await codeOf(client.finished('abcd'))).toBe('unreachable')
  expect(await codeOf(client.submit(job, { key: 'k' }))).toBe('unreachable')
  expect(pauses).toHaveLength(10)
  pauses.length = 0
  const once = [client.submit(job), client.job('abcd'), client.stop('abcd')]
  expect(await Promise.all(once.map(codeOf))).toEqual(once.map(() => 'unreachable'))
  expect(pauses).toEqual([])
})

test('what the server says about when to come again is heeded', async () => {
  const pauses: number[] = []
  let asked = 0
  const client = await answering(
    (_, response) => {
      asked += 1
      if (asked === 1) return response.writeHead(503, { 'retry-after': '7' }).end('{"error":{"code":"too-many-streams","message":"full"}}')
      if (asked === 2) return response.writeHead(200, { 'content-type': 'text/event-stream' }).end('retry: 4000\n\n')
      return response.writeHead(200, { 'content-type': 'text/event-stream' }).end('event: end\ndata: {}\n\n')
    },
    { random: () => 0, sleep: async (milliseconds) => void pauses.push(milliseconds) },
  )
  await drained(client.events('abcd'))
  expect(pauses).toEqual([7000, 8000])
})

test('an error that will be the same again is told at once', async () => {
  let asked = 0
  const client = await answering((_, response) => {
    asked += 1
    response.writeHead(404).end('{"error":{"code":"job-not-found","message":"none","remedy":"look","line":3}}')
  })
  await expect(drained(client.events('abcd'))).rejects.toMatchObject({
    code: 'job-not-found',
    status: 404,
    message: 'none',
    remedy: 'look',
    line: 3,
    name: 'ApiError',
  })
  await expect(client.finished('abcd')).rejects.toMatchObject({ code: 'job-not-found' })
  expect(asked).toBe(2)
})

test('a submission whose answer was lost is one job when it is sent again with its key', async () => {
  const it = await served()
  let lost = 0
  const client = apiClient({
    url: it.server.url,
    sleep: async () => undefined,
    fetch: async (input, init) => {
      const response = await fetch(input, init)
      if (lost++ === 0) throw new TypeError('fetch failed', { cause: new Error('the line is cut') })
      return response
    },
  })
  expect((await client.submit(job, { key: 'k' })).created).toBe(false)
  expect((await it.client.jobs()).jobs).toHaveLength(1)
})

test('a signal ends a call, a stream and a pause, with its reason', async () => {
  const it = await served()
  await it.client.submit(job)
  const reason = new Error('enough')
  const aborted = AbortSignal.abort(reason)
  const options = { signal: aborted }
  const calls = [it.client.health(options), drained(it.client.events('job-0001', options)), drained(it.client.archive('job-0001', options))]
  expect(await Promise.allSettled(calls)).toEqual(calls.map(() => ({ status: 'rejected', reason })))
  const controller = new AbortController()
  const events = it.client.events('job-0001', { signal: controller.signal })[Symbol.asyncIterator]()
  await events.next()
  const next = events.next()
  controller.abort(reason)
  await expect(next).rejects.toBe(reason)
  const pausing = new AbortController()
  const patient = apiClient({ url: 'http://127.0.0.1:1', retry: { delay: 2 ** 30, longest: 2 ** 30 } })
  const finished = patient.finished('abcd', { signal: pausing.signal })
  setTimeout(() => pausing.abort(reason), 20)
  await expect(finished).rejects.toBe(reason)
})

test('what a file to be sent throws is what the call rejects with', async () => {
  const { client } = await served()
  const error = new Error('the disk is gone')
  const broken = async function* () {
    yield new Uint8Array(10)
    throw error
  }
  await expect(client.addBlob(broken())).rejects.toBe(error)
  await expect(client.addTree([{ path: 'a', size: 20, content: broken() }])).rejects.toBe(error)
})

test('a node under a path is reached there', async () => {
  const asked: unknown[] = []
  const client = apiClient({
    url: 'https://gateway.example/nodes/7/',
    fetch: async (input) => {
      asked.push(input)
      return new Response('{"id": "a b", "open": false}')
    },
  })
  await client.job('a b/c', { wait: 3 })
  expect([client.url, asked]).toEqual(['https://gateway.example/nodes/7', ['https://gateway.example/nodes/7/api/v1/jobs/a%20b%2Fc?wait=3']])
})
