import { expect, test } from 'vitest'
import { type HttpsSourceOptions, httpsSource } from '../src/index.ts'
import { testServer } from './test-server.ts'

const open = (options: HttpsSourceOptions = {}) => httpsSource({ allowPrivateAddresses: true, ...options })

test('sizes of several URLs are added up, asked with HEAD, and remembered', async () => {
  await using server = await testServer((request, response) => response.writeHead(200, { 'content-length': request.url?.length ?? 0 }).end())
  await using source = open()
  const spec = { type: 'https' as const, urls: [`${server.origin}/1`, `${server.origin}/22`] }
  expect(await source.assess(spec)).toEqual({ bytes: 5, held: false, refusals: [] })
  expect(await source.assess(spec)).toEqual({ bytes: 5, held: false, refusals: [] })
  expect(server.requests.map(({ line }) => line).sort()).toEqual(['HEAD /1', 'HEAD /22'])
})

test('what is known is forgotten after its time', async () => {
  await using server = await testServer((_request, response) => response.writeHead(200, { 'content-length': 7 }).end())
  await using source = open({ assessCache: 0 })
  await source.assess({ type: 'https', url: server.origin })
  await source.assess({ type: 'https', url: server.origin })
  expect(server.requests).toHaveLength(2)
})

test('redirects are followed to a size', async () => {
  await using server = await testServer((request, response) => {
    if (request.url === '/') response.writeHead(302, { location: '/there' }).end()
    else response.writeHead(200, { 'content-length': 9 }).end()
  })
  await using source = open()
  expect(await source.assess({ type: 'https', url: server.origin })).toEqual({ bytes: 9, held: false, refusals: [] })
})

test('a size that is not told, or is of compressed content, or of an error, is unknown', async () => {
  await using server = await testServer((request, response) => {
    if (request.url === '/chunked') response.writeHead(200, { 'transfer-encoding': 'chunked' }).end()
    else if (request.url === '/gzip') response.writeHead(200, { 'content-length': 5, 'content-encoding': 'gzip' }).end()
    else response.writeHead(request.url === '/404' ? 404 : 405, { 'content-length': 5 }).end()
  })
  await using source = open()
  for (const path of ['/chunked', '/gzip', '/404', '/405']) {
    expect(await source.assess({ type: 'https', url: `${server.origin}${path}` })).toEqual({ held: false, refusals: [] })
  }
  expect(await source.assess({ type: 'https', urls: [`${server.origin}/404`, `${server.origin}/gzip`] })).toEqual({ held: false, refusals: [] })
})

test('a server that is down or silent makes the size unknown, and costs no more than the time allowed', async () => {
  await using server = await testServer(() => undefined)
  await using source = open({ assessTimeout: 100 })
  const urls = Array.from({ length: 50 }, (_unused, index) => `${server.origin}/${index}`)
  expect(await source.assess({ type: 'https', urls })).toEqual({ held: false, refusals: [] })
  expect(await source.assess({ type: 'https', url: 'http://127.0.0.1:1/' })).toEqual({ held: false, refusals: [] })
})

test('many URLs are of unknown size, and only a few servers are asked', async () => {
  await using server = await testServer((_request, response) => response.writeHead(200, { 'content-length': 1 }).end())
  await using source = open()
  const urls = Array.from({ length: 10_000 }, (_unused, index) => `${server.origin}/${index}`)
  expect(await source.assess({ type: 'https', urls })).toEqual({ held: false, refusals: [] })
  expect(server.requests).toHaveLength(64)
})

test('private addresses are a refusal, literal and by name, unless they are allowed', async () => {
  await using server = await testServer((_request, response) => response.writeHead(200, { 'content-length': 1 }).end())
  const resolve = async () => [{ address: '127.0.0.1', family: 4 as const }]
  const named = server.origin.replace('127.0.0.1', 'private.test')
  await using guarded = httpsSource({ resolve })
  for (const url of [server.origin, named]) {
    const { refusals, held } = await guarded.assess({ type: 'https', url })
    expect([held, refusals.map((refusal) => refusal.code)]).toEqual([false, ['source-forbidden']])
  }
  expect(server.requests).toEqual([])
  await using allowed = open({ resolve })
  expect(await allowed.assess({ type: 'https', url: named })).toEqual({ bytes: 1, held: false, refusals: [] })
})

test('an abort is the caller’s, not an unknown size, and is not remembered', async () => {
  const controller = new AbortController()
  const reason = new Error('given up')
  let answer = false
  await using server = await testServer((_request, response) => {
    if (answer) response.writeHead(200, { 'content-length': 3 }).end()
    else controller.abort(reason)
  })
  await using source = open()
  await expect(source.assess({ type: 'https', url: server.origin }, { signal: controller.signal })).rejects.toBe(reason)
  answer = true
  expect(await source.assess({ type: 'https', url: server.origin })).toEqual({ bytes: 3, held: false, refusals: [] })
})
