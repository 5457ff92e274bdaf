import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import type { RequestListener, ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { failureOf, type SourceSpec } from '@skrei/job-spec'
import { expect, test } from 'vitest'
import { type HttpsSourceOptions, httpsSource } from '../src/index.ts'
import { testServer } from './test-server.ts'

const mebibyte = 1 << 20
const payload = Buffer.alloc(300_000, 'abcdefghijklmnopqrstuvwxyz0123456789\n')
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

interface Staged {
  /** The failure's code, or `ok`. */
  readonly outcome: string
  readonly detail: string
  readonly content: Buffer | undefined
}

/** Stages one URL with a source of its own, and checks that a failure leaves nothing. */
const stage = async (
  url: string,
  options: HttpsSourceOptions = {},
  more: { maxBytes?: number; size?: number; sha256?: string; signal?: AbortSignal; onBytes?: (bytes: number) => void } = {},
): Promise<Staged> => {
  const directory = await mkdtemp(join(tmpdir(), 'skrei-https-'))
  await using source = httpsSource({ allowPrivateAddresses: true, attempts: 1, retryDelay: 1, ...options })
  const spec: SourceSpec = { type: 'https', url, ...(more.sha256 === undefined ? {} : { sha256: more.sha256 }) }
  try {
    const entry = { path: 'x', source: spec, ...(more.size === undefined ? {} : { size: more.size }) }
    const signal = more.signal === undefined ? {} : { signal: more.signal }
    for await (const bytes of source.stage(entry, join(directory, 'into'), { maxBytes: more.maxBytes ?? 16 * mebibyte, ...signal })) more.onBytes?.(bytes)
    return { outcome: 'ok', detail: '', content: await readFile(join(directory, 'into')) }
  } catch (error) {
    expect(await readdir(directory)).toEqual([])
    const failure = failureOf(error)
    if (failure === undefined) throw error
    return { outcome: failure.code, detail: failure.detail, content: undefined }
  } finally {
    await rm(directory, { recursive: true })
  }
}

const answering = (...answers: RequestListener[]): RequestListener => {
  let count = 0
  return (request, response) => {
    const answer = answers[Math.min(count, answers.length - 1)]
    count += 1
    answer?.(request, response)
  }
}
const status =
  (code: number, headers: Record<string, string> = {}): RequestListener =>
  (_request, response) =>
    response.writeHead(code, headers).end('x')
const whole: RequestListener = (_request, response) => response.writeHead(200, { 'content-length': payload.length }).end(payload)

test.each([
  [404, 'source-not-found'],
  [410, 'source-not-found'],
  [400, 'source-refused'],
  [401, 'source-refused'],
  [403, 'source-refused'],
  [451, 'source-refused'],
  [429, 'source-unreachable'],
  [408, 'source-unreachable'],
  [500, 'source-unreachable'],
  [503, 'source-unreachable'],
  [204, 'source-invalid'],
  [206, 'source-invalid'],
  [304, 'source-invalid'],
])('HTTP %i is %s', async (code, outcome) => {
  await using server = await testServer(status(code))
  expect((await stage(server.origin)).outcome).toBe(outcome)
})

test('a server that fails is asked again, one that refuses is not', async () => {
  await using failing = await testServer(answering(status(503), status(500), whole))
  expect((await stage(failing.origin, { attempts: 3 })).content?.equals(payload)).toBe(true)
  expect(failing.requests).toHaveLength(3)
  await using hopeless = await testServer(status(503))
  expect((await stage(hopeless.origin, { attempts: 3 })).outcome).toBe('source-unreachable')
  expect(hopeless.requests).toHaveLength(3)
  await using refusing = await testServer(status(403))
  expect((await stage(refusing.origin, { attempts: 3 })).outcome).toBe('source-refused')
  expect(refusing.requests).toHaveLength(1)
})

test('asks for no compression, names itself, and sends nothing else of its own', async () => {
  await using server = await testServer(whole)
  await stage(`${server.origin}/a?b=c#d`, { userAgent: 'test/1' })
  expect(server.requests).toEqual([
    {
      line: 'GET /a?b=c',
      headers: { host: server.origin.slice(7), connection: 'keep-alive', 'user-agent': 'test/1', accept: '*/*', 'accept-encoding': 'identity' },
    },
  ])
})

test('a server that never answers is source-timeout', async () => {
  await using server = await testServer(() => undefined)
  expect((await stage(server.origin, { connectTimeout: 50, silenceTimeout: 50 })).outcome).toBe('source-timeout')
})

test('headers that trickle in are source-timeout', async () => {
  const sockets = new Set<Socket>()
  const server = createTcpServer((socket) => {
    sockets.add(socket.on('error', () => undefined))
    socket.write('HTTP/1.1 200 OK\r\nx-slow: ')
    const timer = setInterval(() => socket.write('x'), 10)
    socket.on('close', () => clearInterval(timer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  expect((await stage(`http://127.0.0.1:${port}`, { connectTimeout: 100, silenceTimeout: 100 })).outcome).toBe('source-timeout')
  for (const socket of sockets) socket.destroy()
  await new Promise((resolve) => server.close(resolve))
})

test('a body that stops is source-timeout, after as many tries as allowed', async () => {
  await using server = await testServer((_request, response) => response.writeHead(200, { 'content-length': 100 }).write('half'))
  expect((await stage(server.origin, { silenceTimeout: 50, attempts: 2 })).outcome).toBe('source-timeout')
  expect(server.requests).toHaveLength(2)
})

test('a body that trickles slower than the least rate is source-timeout though it is never silent', async () => {
  await using server = await testServer((_request, response) => {
    response.writeHead(200)
    const timer = setInterval(() => response.write('x'), 5)
    response.on('close', () => clearInterval(timer))
  })
  const { outcome, detail } = await stage(server.origin, { silenceTimeout: 300, minBytesPerSecond: 10_000 })
  expect(outcome).toBe('source-timeout')
  expect(detail).toMatch(/sent only \d+ bytes/)
})

test('a slow reader is not taken for a slow server', async () => {
  await using server = await testServer(whole)
  const directory = await mkdtemp(join(tmpdir(), 'skrei-https-'))
  await using source = httpsSource({ allowPrivateAddresses: true, attempts: 1, silenceTimeout: 100, minBytesPerSecond: 1e6 })
  let last = 0
  for await (last of source.stage({ path: 'x', source: { type: 'https', url: server.origin } }, join(directory, 'into'), { maxBytes: mebibyte })) {
    // The reader's own pace is what is tested: there is no event to wait for.
    await new Promise((resolve) => setTimeout(resolve, 60))
  }
  expect(last).toBe(payload.length)
  await rm(directory, { recursive: true })
})

test('an endless body is source-too-large as soon as it is', async () => {
  await using server = await testServer((_request, response) => {
    response.writeHead(200)
    const more = () => {
      while (response.write(payload));
    }
    response.on('drain', more)
    more()
  })
  let last = 0
  const { outcome } = await stage(server.origin, { attempts: 3 }, { maxBytes: mebibyte, onBytes: (bytes) => (last = bytes) })
  expect(outcome).toBe('source-too-large')
  expect(last).toBeLessThanOrEqual(mebibyte)
  expect(server.requests).toHaveLength(1)
})

test('a length that is too large is believed before a byte of the body is read', async () => {
  await using server = await testServer((_request, response) => response.writeHead(200, { 'content-length': 10 * mebibyte }).flushHeaders())
  expect((await stage(server.origin, {}, { maxBytes: mebibyte })).outcome).toBe('source-too-large')
})

test('a length that is not the planned one is source-mismatch', async () => {
  await using server = await testServer(whole)
  expect((await stage(server.origin, {}, { size: payload.length })).outcome).toBe('ok')
  expect((await stage(server.origin, {}, { size: payload.length - 1 })).outcome).toBe('source-mismatch')
  expect((await stage(server.origin, {}, { sha256: sha256(payload) })).outcome).toBe('ok')
  expect((await stage(server.origin, { attempts: 3 }, { sha256: sha256(Buffer.from('x')) })).outcome).toBe('source-mismatch')
})

test('a body shorter than its length, or cut inside a chunk, is source-unreachable', async () => {
  await using short = await testServer((_request, response) => {
    response.writeHead(200, { 'content-length': 100 }).write('half', () => response.destroy())
  })
  expect((await stage(short.origin)).outcome).toBe('source-unreachable')
  await using chunked = await testServer((_request, response) => {
    response.writeHead(200).write('half', () => response.socket?.end())
  })
  expect((await stage(chunked.origin)).outcome).toBe('source-unreachable')
})

test('an answer that is not HTTP is source-invalid', async () => {
  const server = createTcpServer((socket) => socket.on('error', () => undefined).once('data', () => socket.end('SSH-2.0-OpenSSH_9.2\r\n')))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  expect((await stage(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)).outcome).toBe('source-invalid')
  await new Promise((resolve) => server.close(resolve))
})

test('headers without end are source-invalid', async () => {
  await using server = await testServer((_request, response) => response.writeHead(200, { 'x-large': 'x'.repeat(100_000) }).end())
  expect((await stage(server.origin)).outcome).toBe('source-invalid')
})

test('compressed content is refused, not undone: a small answer cannot become a large file', async () => {
  const bomb = gzipSync(Buffer.alloc(8 * mebibyte))
  await using server = await testServer((_request, response) =>
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': bomb.length }).end(bomb),
  )
  expect((await stage(server.origin)).outcome).toBe('source-invalid')
})

/** A server whose first answer breaks off once the client has told of its first bytes; later it serves the range that is asked for. */
const breaking = (etag: string | undefined, edit: (response: ServerResponse, start: number) => boolean = () => false) => {
  const { promise: received, resolve: onBytes } = Promise.withResolvers<unknown>()
  let broken = false
  const listener: RequestListener = (request, response) => {
    if (etag !== undefined) response.setHeader('etag', etag)
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
    if (!broken) {
      broken = true
      response.writeHead(200, { 'content-length': payload.length }).write(payload.subarray(0, 100_000))
      void received.then(() => response.destroy())
    } else if (start > 0 && edit(response, start)) return
    else if (start > 0 && request.headers['if-range'] === etag) {
      response
        .writeHead(206, { 'content-range': `bytes ${start}-${payload.length - 1}/${payload.length}`, 'content-length': payload.length - start })
        .end(payload.subarray(start))
    } else response.writeHead(200, { 'content-length': payload.length }).end(payload)
  }
  return { listener, onBytes }
}

test('a download that breaks off goes on where it was, and its hash still covers the whole', async () => {
  const { listener, onBytes } = breaking('"v1"')
  await using server = await testServer(listener)
  const told: number[] = []
  const both = (bytes: number) => onBytes(told.push(bytes))
  const { content } = await stage(server.origin, { attempts: 2 }, { sha256: sha256(payload), onBytes: both })
  expect(content?.equals(payload)).toBe(true)
  expect(server.requests[1]?.headers).toMatchObject({ range: expect.stringMatching(/^bytes=[1-9]\d*-$/), 'if-range': '"v1"' })
  expect(told).toEqual([...told].sort((left, right) => left - right))
  expect(told.at(-1)).toBe(payload.length)
})

test.each([
  ['without an ETag', undefined],
  ['with a weak ETag', 'W/"v1"'],
])('a download %s starts again', async (_name, etag) => {
  const { listener, onBytes } = breaking(etag)
  await using server = await testServer(listener)
  const told: number[] = []
  const both = (bytes: number) => onBytes(told.push(bytes))
  expect((await stage(server.origin, { attempts: 2 }, { onBytes: both })).content?.equals(payload)).toBe(true)
  expect(server.requests).toHaveLength(2)
  expect(server.requests[1]?.headers['range']).toBeUndefined()
  expect(told).toEqual([...told].sort((left, right) => left - right))
})

test('a file that changed between two tries is fetched anew, never glued together', async () => {
  const other = Buffer.alloc(200_000, 'other')
  const { listener, onBytes } = breaking('"v1"', (response) => {
    response.setHeader('etag', '"v2"')
    response.writeHead(200, { 'content-length': other.length }).end(other)
    return true
  })
  await using server = await testServer(listener)
  expect((await stage(server.origin, { attempts: 2 }, { onBytes })).content?.equals(other)).toBe(true)
})

const ranges: readonly [string, number, (start: number) => Record<string, string>][] = [
  ['one from the start', 206, () => ({ 'content-range': `bytes 0-9/${payload.length}` })],
  ['one that is nonsense', 206, () => ({ 'content-range': 'nonsense' })],
  ['none at all', 206, () => ({})],
  ['the right one, of another version', 206, (start) => ({ 'content-range': `bytes ${start}-${start + 9}/${payload.length}`, etag: '"v2"' })],
  ['that there is nothing more', 416, () => ({})],
]
test.each(ranges)('a server that answers a request for the rest with another range (%s) is asked for the whole', async (_name, code, headers) => {
  const { listener, onBytes } = breaking('"v1"', (response, start) => {
    response.writeHead(code, { ...headers(start), 'content-length': 10 }).end('0123456789')
    return true
  })
  await using server = await testServer(listener)
  expect((await stage(server.origin, { attempts: 3 }, { onBytes })).content?.equals(payload)).toBe(true)
  expect(server.requests.map((request) => request.headers['range'] !== undefined)).toEqual([false, true, false])
})

test('redirects are followed, also to another host, and nothing is forwarded', async () => {
  await using target = await testServer(whole)
  await using server = await testServer(
    answering(status(302, { location: '/two?x=1', 'set-cookie': 'secret=1' }), status(307, { location: `${target.origin}/three` })),
  )
  expect((await stage(`${server.origin}/one`)).content?.equals(payload)).toBe(true)
  expect(server.requests.map(({ line }) => line)).toEqual(['GET /one', 'GET /two?x=1'])
  expect(Object.keys(target.requests[0]?.headers ?? {}).sort()).toEqual(['accept', 'accept-encoding', 'connection', 'host', 'user-agent'])
})

test('redirects end: in a loop, nowhere, to another scheme, to credentials', async () => {
  await using loop = await testServer((request, response) => response.writeHead(301, { location: `${request.url}x` }).end('never read'.repeat(1000)))
  expect((await stage(loop.origin, { maxRedirects: 4, attempts: 3 })).outcome).toBe('source-invalid')
  expect(loop.requests).toHaveLength(5)
  for (const location of ['', 'file:///etc/passwd', 'ftp://127.0.0.1/', 'data:,x', 'http://user:password@127.0.0.1/', 'http://[']) {
    await using server = await testServer((_request, response) => response.writeHead(302, location === '' ? {} : { location }).end())
    expect(`${location}: ${(await stage(server.origin)).outcome}`).toBe(`${location}: source-invalid`)
  }
})

test('a body behind a redirect is not waited for', async () => {
  await using target = await testServer(whole)
  await using server = await testServer((_request, response) =>
    response.writeHead(302, { location: target.origin, 'content-length': 100 }).write('never the rest'),
  )
  expect((await stage(server.origin)).outcome).toBe('ok')
})

test('an abort during the pause between two tries ends it', async () => {
  const controller = new AbortController()
  const reason = new Error('given up')
  await using server = await testServer((_request, response) => {
    response.on('close', () => setImmediate(() => controller.abort(reason)))
    response.writeHead(503).end()
  })
  await expect(stage(server.origin, { attempts: 2, retryDelay: 1e6 }, { signal: controller.signal })).rejects.toBe(reason)
})

test('an abort while a server is silent ends it', async () => {
  const controller = new AbortController()
  const reason = new Error('given up')
  await using server = await testServer(() => controller.abort(reason))
  await expect(stage(server.origin, { attempts: 2 }, { signal: controller.signal })).rejects.toBe(reason)
})

const pem = (name: string) => readFile(new URL(`loopback-${name}.pem`, import.meta.url), 'utf8')

test('https works where the certificate is trusted, and only there', async () => {
  const [key, cert] = await Promise.all([pem('key'), pem('certificate')])
  await using server = await testServer(whole, (listener) => createTlsServer({ key, cert }, listener), 'https')
  expect((await stage(server.origin, { ca: [cert] })).content?.equals(payload)).toBe(true)
  const resolve = async () => [{ address: '127.0.0.1', family: 4 }] as const
  const named = server.origin.replace('127.0.0.1', 'data.test')
  expect((await stage(named, { ca: [cert], resolve })).content?.equals(payload)).toBe(true)
  expect((await stage(named.replace('data.test', 'other.test'), { ca: [cert], resolve })).outcome).toBe('source-unreachable')
  expect((await stage(server.origin)).outcome).toBe('source-unreachable')
})

test('a redirect from https to http is refused', async () => {
  const [key, cert] = await Promise.all([pem('key'), pem('certificate')])
  await using plain = await testServer(whole)
  await using server = await testServer(status(302, { location: plain.origin }), (listener) => createTlsServer({ key, cert }, listener), 'https')
  expect((await stage(server.origin, { ca: [cert] })).outcome).toBe('source-refused')
  expect(plain.requests).toEqual([])
})
