import { request } from 'node:http'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { endpoints } from '../src/endpoints.ts'
import type { Route } from '../src/route.ts'
import { routes } from '../src/routes.ts'
import { job, type Served, served } from './served.ts'

interface Refused {
  readonly status: number
  readonly error: { readonly code: string; readonly message: string; readonly remedy?: string; readonly path?: string; readonly problems?: unknown }
}

const ask = async ({ server }: Served, path: string, init?: RequestInit): Promise<Refused> => {
  const response = await fetch(`${server.url}${path}`, init)
  expect(response.headers.get('content-type')).toBe('application/json')
  expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  const { error } = (await response.json()) as { error: Refused['error'] }
  return { status: response.status, error }
}
const yaml = (body: BodyInit, headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  body,
  headers: { 'content-type': 'application/yaml', ...headers },
})
type BodyInit = NonNullable<RequestInit['body']>

const named = Object.entries(endpoints) as [keyof typeof endpoints, { readonly method: string; readonly path: string }][]
const filled = (path: string): string => path.replace('{id}', 'job-0001').replace('{path}', 'a')

test.each(named)('%s refuses an unknown key in its query, and names the one that was meant', async (name, { method, path }) => {
  const it = await served()
  await it.client.submit(job)
  const known: Route = routes[name]
  const { status, error } = await ask(it, `${filled(path)}?zzzzz=1`, { method })
  expect([status, error.code, error.path]).toEqual([400, 'bad-request', 'zzzzz'])
  const [first] = Object.keys(known.query?.shape ?? {})
  if (first !== undefined) expect((await ask(it, `${filled(path)}?${first}x=1`, { method })).error.message).toContain(`did you mean \`${first}\``)
})

test.each(named.filter(([, { path }]) => path.includes('{id}')))('%s says that there is no such job', async (_, { method, path }) => {
  const it = await served()
  const { status, error } = await ask(it, path.replace('{id}', 'nobody').replace('{path}', 'a'), { method })
  expect([status, error.code]).toEqual([404, 'job-not-found'])
  expect(error.remedy).toBeDefined()
  expect((await ask(it, path.replace('{id}', '%00').replace('{path}', 'a'), { method })).error.code).toBe('bad-request')
  expect((await ask(it, path.replace('{id}', '%ff').replace('{path}', 'a'), { method })).error.code).toBe('bad-request')
})

test.each(named)('%s refuses other methods', async (_, { path }) => {
  const it = await served()
  const taken = named.filter(([, other]) => other.path === path).map(([, { method }]) => method)
  for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'].filter((method) => !taken.includes(method))) {
    const response = await fetch(`${it.server.url}${filled(path)}`, { method })
    const { error } = (await response.json()) as { readonly error: Refused['error'] }
    expect([response.status, error.code]).toEqual([405, 'method-not-allowed'])
    expect(response.headers.get('allow')?.split(', ')).toEqual(expect.arrayContaining(taken))
  }
})

test.each([
  '/',
  '/api',
  '/api/v1',
  '/api/v1/',
  '/api/v1/job',
  '/api/v1/jobs/',
  '/api/v1/jobs//events',
  '/api/v1/jobs/job-0001/',
  '/api/v1/jobs/job-0001/toString',
  '/api/v1/__proto__',
  '/api/v1/constructor',
  '/api/v2/health',
  '/metrics/',
  '//api/v1/health',
])('there is nothing at %s', async (path) => {
  const it = await served()
  await it.client.submit(job)
  const { status, error } = await ask(it, path)
  expect([status, error.code]).toEqual([404, 'no-route'])
})

test.each([
  ['/api/v1/jobs?limit=0', 'limit', 'from 1 to 1000'],
  ['/api/v1/jobs?limit=1001', 'limit', 'from 1 to 1000'],
  ['/api/v1/jobs?limit=', 'limit', 'from 1 to 1000'],
  ['/api/v1/jobs?limit=1e2', 'limit', 'found "1e2"'],
  ['/api/v1/jobs?limit=-1', 'limit', 'from 1 to 1000'],
  ['/api/v1/jobs?limit=1&limit=2', 'limit', 'twice'],
  ['/api/v1/jobs?state=done', 'state', 'expected planning or running'],
  ['/api/v1/jobs?after=%0a', 'after', 'printable'],
  [`/api/v1/jobs?prefix=${'x'.repeat(257)}`, 'prefix', '1 to 256'],
  ['/api/v1/jobs?__proto__=1', '__proto__', 'has no'],
  ['/api/v1/jobs/job-0001?wait=61', 'wait', 'from 0 to 60'],
  ['/api/v1/jobs/job-0001?wait=9999999999999999999', 'wait', 'from 0 to 60'],
  ['/api/v1/jobs/job-0001/shards?after=-1', 'after', 'whole number'],
  ['/api/v1/jobs/job-0001/events?after=x', 'after', 'whole number'],
  ['/api/v1/jobs/job-0001/logs?stream=both', 'stream', 'expected stdout or stderr'],
  ['/api/v1/jobs/job-0001/logs?follow=yes', 'follow', 'true or false'],
  ['/api/v1/jobs/job-0001/logs?shard=1.5', 'shard', 'whole number'],
  ['/api/v1/jobs/job-0001/logs?from=e:1', 'from', 'EXECUTION:BYTES:BYTES'],
])('%s is refused by the name of the parameter', async (path, name, says) => {
  const it = await served()
  await it.client.submit(job)
  const { status, error } = await ask(it, path)
  expect([status, error.code, error.path]).toEqual([400, 'bad-request', name])
  expect(error.message).toContain(says)
})

test.each([
  ['events', '7x', 'whole number'],
  ['logs', '7', 'EXECUTION'],
])('a Last-Event-ID that no stream of %s gave is refused', async (route, id, says) => {
  const it = await served()
  await it.client.submit(job)
  const { status, error } = await ask(it, `/api/v1/jobs/job-0001/${route}`, { headers: { accept: 'text/event-stream', 'last-event-id': id } })
  expect([status, error.code, error.path]).toEqual([400, 'bad-request', 'last-event-id'])
  expect(error.message).toContain(says)
})

test.each(['', ' ', 'a b', 'ü', 'x'.repeat(257)])('an idempotency key that is none is refused: %j', async (key) => {
  const it = await served()
  const { status, error } = await ask(it, '/api/v1/jobs', yaml(job, { 'idempotency-key': Buffer.from(key).toString('latin1') }))
  expect([status, error.code, error.path]).toEqual([400, 'bad-request', 'idempotency-key'])
})

const jobRoutes = ['/api/v1/jobs', '/api/v1/jobs/plan', '/api/v1/jobs/validate']

test.each(jobRoutes)('%s says at which line and column a job file is wrong, and what else is', async (path) => {
  const it = await served()
  const { status, error } = await ask(it, path, yaml('apiVersion: skrei/v1\nengine:\n  type: noop\nnaem: x\nresources:\n  cpu: lots\n'))
  expect(status).toBe(422)
  expect(error).toMatchObject({ code: 'unknown-key', file: 'job.yaml', line: 4, column: 1, path: 'naem', remedy: expect.stringContaining('spelling') })
  expect(error.problems).toMatchObject([{ code: 'unknown-key' }, { code: 'bad-quantity', line: 6, column: 8, path: 'resources.cpu' }])
})

test.each([
  ['a: [1', 'application/yaml', 'yaml-syntax'],
  ['{"a": 1,}', 'application/json', 'json-syntax'],
  ['', 'application/yaml', 'wrong-type'],
  ['null', 'application/json', 'wrong-type'],
  ['{"__proto__": {}, "apiVersion": "skrei/v1", "engine": {"type": "noop"}}', 'application/json', 'unknown-key'],
])('what is no job is refused: %s', async (body, type, code) => {
  const it = await served()
  const { status, error } = await ask(it, '/api/v1/jobs', { method: 'POST', body, headers: { 'content-type': type } })
  expect([status, error.code]).toEqual([422, code])
  expect((await it.client.jobs()).jobs).toEqual([])
})

test.each(jobRoutes)('%s takes text in UTF-8 of a known type, at most 1 MiB of it', async (path) => {
  const it = await served()
  for (const type of ['text/plain', 'multipart/form-data', 'application/x-www-form-urlencoded', ''])
    expect((await ask(it, path, { method: 'POST', body: new TextEncoder().encode(job), headers: type ? { 'content-type': type } : {} })).error.code).toBe(
      'unsupported-media-type',
    )
  expect((await ask(it, path, yaml(Uint8Array.of(0x61, 0xff)))).error).toMatchObject({ code: 'bad-request', message: expect.stringContaining('UTF-8') })
  expect(await ask(it, path, yaml('#'.repeat(2 ** 20 + 1)))).toMatchObject({ status: 413, error: { code: 'body-too-large' } })
  const endless = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65_536).fill(0x23)) })
  const init: RequestInit & { duplex: 'half' } = { ...yaml(endless), duplex: 'half' }
  expect(await ask(it, path, init)).toMatchObject({ status: 413, error: { code: 'body-too-large' } })
  expect((await it.client.validate(`${job}#${'x'.repeat(2 ** 20 - job.length - 1)}`)).warnings).toEqual([])
})

test('a body that does not come is not waited for', async () => {
  const it = await served({ limits: { bodySilence: 50 } })
  for (const [path, type] of [
    ['/api/v1/jobs', 'application/yaml'],
    ['/api/v1/blobs', 'application/octet-stream'],
    ['/api/v1/blobs', 'application/x-tar'],
  ]) {
    const silent = new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(1)) })
    const init: RequestInit & { duplex: 'half' } = { method: 'POST', body: silent, headers: { 'content-type': type ?? '' }, duplex: 'half' }
    expect((await ask(it, path ?? '', init)).error).toMatchObject({ code: 'bad-request', message: expect.stringContaining('50 ms') })
  }
  expect(it.node.kept).toEqual([])
})

test('blobs are bounded in size and of a known type', async () => {
  const it = await served({ limits: { blobBytes: 1000 } })
  const blob = (bytes: number, type: string) => ask(it, '/api/v1/blobs', { method: 'POST', body: new Uint8Array(bytes), headers: { 'content-type': type } })
  expect(await blob(10, 'text/plain')).toMatchObject({ status: 415, error: { code: 'unsupported-media-type' } })
  expect(await blob(1001, 'application/octet-stream')).toMatchObject({ status: 413, error: { code: 'body-too-large' } })
  expect(await blob(1536, 'application/x-tar')).toMatchObject({ status: 413, error: { code: 'body-too-large' } })
  const chunked = async function* () {
    for (let index = 0; index < 11; index += 1) yield new Uint8Array(100)
  }
  await expect(it.client.addBlob(chunked())).rejects.toMatchObject({ code: 'body-too-large' })
  expect(it.node.kept).toEqual([])
  expect((await it.client.addBlob(new Uint8Array(1000))).bytes).toBe(1000)
})

test.each(['..', 'a/../b', './a', 'a//b', 'a/', '%00', 'x'.repeat(4097)])('no file of a result is called %j', async (path) => {
  const it = await served()
  await it.client.submit(job)
  it.node.end('job-0001')
  it.node.override({
    // biome-ignore lint/correctness/useYield: it is never to be asked
    files: async function* () {
      throw new Error('the node was asked for a path that leaves the result')
    },
  })
  // Not by `fetch`, which takes dots out of a path.
  const status = await new Promise((resolve, reject) =>
    request(`${it.server.url}/`, { path: `/api/v1/jobs/job-0001/results/${path}` }, (response) =>
      response.resume().on('end', () => resolve(response.statusCode)),
    )
      .on('error', reject)
      .end(),
  )
  expect(status).toBe(404)
  expect(it.faults).toEqual([])
})

test.each([
  ['GET /api/v1/health HTTP/1.1\r\n\r\n', 400],
  ['nonsense\r\n\r\n', 400],
  [`GET /${'x'.repeat(20_000)} HTTP/1.1\r\nhost: localhost\r\n\r\n`, 431],
  [`GET / HTTP/1.1\r\nhost: localhost\r\na: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
  ['POST /api/v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n', 400],
])('what is no HTTP is answered as such: %.40s', async (sent, status) => {
  const it = await served()
  const socket = connect(it.server.port, '127.0.0.1')
  socket.end(sent)
  let got = ''
  for await (const chunk of socket) got += chunk
  expect(got).toContain(`HTTP/1.1 ${status} `)
})

test('what goes wrong inside the node is told to the node, and not to the caller', async () => {
  const it = await served()
  const error = new Error('a secret of the node')
  it.node.override({
    node: () => {
      throw error
    },
  })
  const { status, error: told } = await ask(it, '/api/v1/node')
  expect([status, told.code]).toEqual([500, 'node-fault'])
  expect(JSON.stringify(told)).not.toContain('secret')
  expect(it.faults).toEqual([error])
})

test('an error of another package whose code is one of the API keeps its code and its place', async () => {
  const it = await served()
  it.node.override({ submit: () => Promise.reject(Object.assign(new Error('too few'), { code: 'not-enough-nodes', path: ['verification', 'replicas'] })) })
  await expect(it.client.submit(job)).rejects.toMatchObject({ code: 'not-enough-nodes', status: 422, path: 'verification.replicas', message: 'too few' })
  it.node.override({ submit: () => Promise.reject(Object.assign(new Error('later'), { code: 'draining' })) })
  const response = await fetch(`${it.server.url}/api/v1/jobs`, yaml(job))
  expect([response.status, response.headers.get('retry-after')]).toEqual([503, '5'])
  expect(it.faults).toEqual([])
})
