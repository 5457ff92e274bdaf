import { request } from 'node:http'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { createApi, serveApi } from '../src/index.ts'
import { fakeNode } from './fake-node.ts'
import { codeOf, job, type Served, served, text, until } from './served.ts'

/** By `node:http`, which sends what it is told to: `fetch` has a mind of its own about these headers. */
const ask = (
  { server }: Served,
  headers: Readonly<Record<string, string>>,
  { method = 'GET', path = '/api/v1/health' } = {},
): Promise<{ readonly status: number | undefined; readonly code: unknown; readonly headers: Readonly<Record<string, unknown>> }> =>
  new Promise((resolve, reject) => {
    const sent = request(`${server.url}${path}`, { method, headers }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk) => {
        body += chunk
      })
      response.on('end', () =>
        resolve({ status: response.statusCode, code: body === '' ? undefined : JSON.parse(body).error?.code, headers: response.headers }),
      )
    })
    sent.on('error', reject).end()
  })

test.each([
  'localhost',
  'localhost:99',
  'LOCALHOST',
  '127.0.0.1:1212',
  '127.1.2.3',
  '[::1]:80',
  '[::1]',
  'a.localhost',
  'node.example',
  'Node.Example:1',
  '10.0.0.7',
])('the node answers to %s', async (host) => {
  const it = await served({ hosts: ['node.example'] })
  expect((await ask(it, { host })).status).toBe(200)
})

test.each([
  'evil.example',
  'evil.example:1212',
  'localhost.evil.example',
  '127.0.0.1.evil.example',
  '127.0.0.1@evil.example',
  'xlocalhost',
  '[::1].evil',
  '1.2.3',
  '0x7f.1',
])('a name that was pointed at the node is refused: %j', async (host) => {
  const it = await served({ hosts: ['node.example'] })
  await it.client.submit(job)
  for (const path of ['/api/v1/health', '/metrics', '/openapi.json', '/nothing']) expect((await ask(it, { host }, { path })).code).toBe('host-refused')
  expect((await ask(it, { host }, { method: 'POST', path: '/api/v1/jobs/job-0001/stop' })).code).toBe('host-refused')
  expect(it.node.service.job('job-0001')?.open).toBe(true)
})

test('a request that names no host is refused', async () => {
  const it = await served()
  const socket = connect(it.server.port, '127.0.0.1')
  socket.end('GET /api/v1/health HTTP/1.0\r\n\r\n')
  let got = ''
  for await (const chunk of socket) got += text(chunk as Uint8Array)
  expect(got).toContain('host-refused')
})

test('pages of other sites may not use the node; those of its own, and those it allows, may', async () => {
  const it = await served({ origins: ['https://dashboard.example'] })
  const host = `127.0.0.1:${it.server.port}`
  await it.client.submit(job)
  const stop = { method: 'POST', path: '/api/v1/jobs/job-0001/stop' }
  for (const headers of [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: `http://${host}.evil.example` },
    { origin: 'http://127.0.0.1:1' },
    { origin: 'https://dashboard.example.evil.example' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ]) {
    const refused = await ask(it, { host, ...headers }, stop)
    expect([refused.status, refused.code, refused.headers['access-control-allow-origin']]).toEqual([403, 'origin-refused', undefined])
  }
  expect(it.node.service.job('job-0001')?.open).toBe(true)
  for (const headers of [{ origin: `http://${host}` }, { 'sec-fetch-site': 'same-origin' }, { 'sec-fetch-site': 'none' }, {}]) {
    expect((await ask(it, { host, ...headers })).status).toBe(200)
  }
  const allowed = await ask(it, { host, origin: 'https://dashboard.example', 'sec-fetch-site': 'cross-site' })
  expect([allowed.status, allowed.headers['access-control-allow-origin'], allowed.headers['vary']]).toEqual([200, 'https://dashboard.example', 'origin'])
  const missing = await ask(it, { host, origin: 'https://dashboard.example' }, { path: '/api/v1/jobs/none' })
  expect([missing.status, missing.headers['access-control-allow-origin']]).toEqual([404, 'https://dashboard.example'])
})

test('a browser is told what an allowed page may send, and nothing else is', async () => {
  const it = await served({ origins: ['https://dashboard.example'] })
  const preflight = (origin: string) => ask(it, { origin, 'access-control-request-method': 'POST' }, { method: 'OPTIONS', path: '/api/v1/jobs' })
  const { status, headers } = await preflight('https://dashboard.example')
  expect([status, headers['access-control-allow-methods'], headers['access-control-allow-origin']]).toEqual([204, 'GET, POST', 'https://dashboard.example'])
  expect(headers['access-control-allow-headers']).toContain('idempotency-key')
  expect((await preflight('https://evil.example')).code).toBe('origin-refused')
})

test('options that make no sense are refused by name', async () => {
  const { service } = fakeNode()
  expect(() => createApi(service, { origins: ['dashboard.example'] })).toThrow('"dashboard.example" is no origin')
  expect(() => createApi(service, { origins: ['https://a.example/'] })).toThrow('is no origin')
  expect(() => createApi(service, { limits: { streams: 0 } })).toThrow('limits.streams must be')
  expect(() => createApi(service, { limits: { steams: 1 } as object })).toThrow('there is no limit steams')
  expect(() => createApi(service, { limits: { heartbeat: 60_001 } })).toThrow('limits.heartbeat must be at most 60000')
  await expect(serveApi(service, { limits: { requests: 0.5 } })).rejects.toThrow('limits.requests')
})

test('a port that is taken is said to be', async () => {
  const { server, node } = await served()
  expect(await codeOf(serveApi(node.service, { port: server.port }))).toBe('EADDRINUSE')
})

test('closing answers who waits, ends event streams so that they come again, and lets others finish', async () => {
  const it = await served()
  await it.client.submit(job)
  const waiting = it.client.job('job-0001', { wait: 60 })
  const events = await fetch(`${it.server.url}/api/v1/jobs/job-0001/events`)
  let planned = (): void => undefined
  it.node.override({
    plan: (spec) =>
      new Promise((resolve) => {
        planned = () => resolve({ name: spec.name ?? '', specCid: 'cid', outcome: 'runs', known: 0, nodes: [], first: [] })
      }),
  })
  const plan = fetch(`${it.server.url}/api/v1/jobs/plan`, { method: 'POST', body: job, headers: { 'content-type': 'application/yaml' } })
  const before = planned
  await until(() => planned !== before)
  const closed = it.server.close()
  expect(it.server.close()).toBe(closed)
  expect((await waiting).state).toBe('running')
  expect((await events.text()).endsWith('retry: 1000\n\n')).toBe(true)
  planned()
  const last = await plan
  expect([last.status, last.headers.get('connection')]).toEqual([200, 'close'])
  await last.text()
  await closed
  expect(it.node.listening()).toBe(0)
  await expect(it.client.health()).rejects.toMatchObject({ code: 'unreachable', remedy: expect.stringContaining('skrei node start') })
  expect(it.faults).toEqual([])
})

test('what is broken off since the node ends is said to be, and no fault of it', async () => {
  const it = await served()
  await it.client.submit(job)
  const raw = fetch(`${it.server.url}/api/v1/jobs/job-0001/logs?follow=true`)
  let asked = false
  const { logs } = it.node.service
  it.node.override({
    logs: (id, options) => {
      asked = true
      return logs(id, options)
    },
  })
  await until(() => asked)
  await it.server.close()
  const response = await raw
  expect([response.status, response.headers.get('retry-after')]).toEqual([503, '5'])
  expect(await response.json()).toMatchObject({ error: { code: 'draining' } })
  expect(it.faults).toEqual([])
})

test('closing does not wait for a connection that is idle', async () => {
  const it = await served()
  const socket = connect(it.server.port, '127.0.0.1')
  socket.write('GET /api/v1/health HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await new Promise((resolve) => socket.once('data', resolve))
  await it.server.close({ deadline: 2 ** 31 - 1 })
  socket.destroy()
})

test('closing cuts off what has not ended by its deadline', async () => {
  const it = await served()
  await it.client.submit(job)
  let aborted = false
  it.node.override({
    plan: (_, { signal }) =>
      new Promise((_, reject) =>
        signal.addEventListener('abort', () => {
          aborted = true
          reject(signal.reason)
        }),
      ),
  })
  const plan = codeOf(it.client.plan(job))
  await it.client.health()
  await it.server.close({ deadline: 50 })
  expect(await plan).toBe('unreachable')
  await until(() => aborted)
})

test('a client that sends more than is taken sees why, on a connection that it can go on with', async () => {
  const it = await served({ limits: { blobBytes: 1000 } })
  const socket = connect(it.server.port, '127.0.0.1')
  socket.write('POST /api/v1/blobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\ncontent-length: 2000000\r\n\r\n')
  socket.write(Buffer.alloc(2_000_000))
  socket.write('GET /api/v1/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')
  let got = ''
  for await (const chunk of socket) got += text(chunk as Uint8Array)
  expect(got.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 413', 'HTTP/1.1 200'])
})

test('a client that sends without end what nobody wants is cut off', async () => {
  const it = await served({ limits: { blobBytes: 1000 } })
  const socket = connect(it.server.port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write('POST /api/v1/blobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\ntransfer-encoding: chunked\r\n\r\n')
  const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`
  let closed = false
  socket.resume().once('close', () => {
    closed = true
  })
  let sent = 0
  while (!closed) {
    sent += chunk.length
    if (socket.write(chunk)) continue
    await new Promise<void>((resolve) => {
      socket.once('drain', resolve).once('close', resolve)
    })
  }
  expect(sent).toBeLessThan(64 * 2 ** 20)
})

test('job files that come at the same time hold a bounded amount of memory, and leave room when they are gone', async () => {
  const it = await served()
  const head = 'POST /api/v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/yaml\r\ncontent-length: 1000000\r\n\r\n'
  const answers: string[] = []
  const sockets = Array.from({ length: 70 }, () => {
    const socket = connect(it.server.port, '127.0.0.1')
    socket.on('error', () => undefined).on('data', (chunk) => answers.push(text(chunk)))
    socket.write(head)
    socket.write(Buffer.alloc(990_000, 0x23))
    return socket
  })
  await until(() => answers.length > 0)
  expect(answers[0]).toContain('HTTP/1.1 503')
  expect(answers[0]).toContain('too-many-requests')
  for (const socket of sockets) socket.destroy()
  const big = `${job}#${'x'.repeat(900_000)}`
  let code: unknown = 'too-many-requests'
  while (code === 'too-many-requests') code = await codeOf(it.client.validate(big))
  expect(code).toBe('resolved')
})

test('the same API answers requests of the web', async () => {
  const node = fakeNode()
  const api = createApi(node.service)
  const post = new Request('http://localhost/api/v1/jobs', { method: 'POST', body: job, headers: { 'content-type': 'application/yaml' } })
  expect((await api.fetch(post)).status).toBe(201)
  const response = await api.fetch(new Request('http://localhost/api/v1/jobs/job-0001/events'))
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  const reader = response.body?.getReader()
  await reader?.read()
  await reader?.read()
  await until(() => node.listening() === 2)
  await reader?.cancel()
  await until(() => node.listening() === 0)
  expect((await api.fetch(new Request('http://evil.example/api/v1/health'))).status).toBe(403)
  const head = await api.fetch(new Request('http://localhost/api/v1/jobs/job-0001/events', { method: 'HEAD' }))
  expect([head.status, head.body]).toEqual([200, null])
  expect(node.listening()).toBe(0)
})
