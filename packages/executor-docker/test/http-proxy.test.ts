import { createServer, type IncomingMessage, request } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { httpProxy, type ProxyOptions } from '../src/http-proxy.ts'

let heard: IncomingMessage[] = []
const web = createServer((incoming, answer) => {
  heard.push(incoming)
  answer.writeHead(200, { connection: 'close', 'x-kept': 'yes' }).end('the page')
})
let port = 0
let proxyPort = 0
let proxy: AsyncDisposable | undefined

beforeEach(async () => {
  heard = []
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve))
  port = (web.address() as AddressInfo).port
})
afterEach(async () => {
  await proxy?.[Symbol.asyncDispose]()
  proxy = undefined
  web.closeAllConnections()
  await new Promise((resolve) => web.close(resolve))
})

const open = async (options: Partial<ProxyOptions> = {}): Promise<void> => {
  const free = createTcpServer()
  await new Promise<void>((resolve) => free.listen(0, '127.0.0.1', resolve))
  proxyPort = (free.address() as AddressInfo).port
  await new Promise((resolve) => free.close(resolve))
  proxy = await httpProxy({
    address: '127.0.0.1',
    port: proxyPort,
    domains: ['allowed.example'],
    ports: [port],
    privateAddresses: true,
    resolve: async () => ['127.0.0.1'],
    ...options,
  })
}

const get = (
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ status: number | undefined; text: string; headers: IncomingMessage['headers'] }> =>
  new Promise((resolve, reject) => {
    const asked = request({ port: proxyPort, host: '127.0.0.1', path, headers, agent: false }, (answer) => {
      let text = ''
      answer.on('data', (part) => {
        text += part
      })
      answer.on('end', () => resolve({ status: answer.statusCode, text, headers: answer.headers }))
    })
    asked.on('error', reject)
    asked.end()
  })

/** Everything that the proxy answers to these bytes. */
const raw = (text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(proxyPort, '127.0.0.1', () => socket.write(text))
    let answer = ''
    socket.on('data', (part) => {
      answer += part
    })
    socket.on('close', () => resolve(answer))
    socket.on('error', reject)
  })

test('passes on what is allowed, without the headers that are for the proxy', async () => {
  await open()
  const answer = await get(`http://allowed.example:${port}/page?x=1`, {
    host: 'other.example',
    'proxy-authorization': 'Basic secret',
    'proxy-connection': 'keep-alive',
    'x-mine': 'yes',
  })
  expect([answer.status, answer.text, answer.headers['x-kept']]).toEqual([200, 'the page', 'yes'])
  expect(heard[0]?.url).toBe('/page?x=1')
  // The host that was checked, whatever the program says it is.
  expect(heard[0]?.headers).toMatchObject({ host: `allowed.example:${port}`, 'x-mine': 'yes' })
  expect(Object.keys(heard[0]?.headers ?? {}).filter((name) => name.startsWith('proxy-'))).toEqual([])
})

test('refuses other hosts and ports, whatever they look like, without a connection', async () => {
  await open()
  const others = ['other.example', 'allowed.example.evil.example', 'xallowed.example', '127.0.0.1', '[::1]', '2130706433', 'allowed.example@127.0.0.1'].map(
    (host) => `http://${host}:${port}/`,
  )
  for (const url of [...others, `http://allowed.example:${port + 1}/`, 'http://allowed.example/']) expect([url, (await get(url)).status]).toEqual([url, 403])
  for (const target of [`other.example:${port}`, `allowed.example:${port + 1}`, `127.0.0.1:${port}`, 'allowed.example'])
    expect(await raw(`CONNECT ${target} HTTP/1.1\r\n\r\n`)).toMatch(/^HTTP\/1\.1 403 /)
  for (const path of ['/', 'https://allowed.example/', 'ftp://allowed.example/', 'nonsense']) expect([path, (await get(path)).status]).toEqual([path, 400])
  expect(await raw('CONNECT nonsense:nonsense HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
  expect(heard).toEqual([])
})

test('tunnels to what is allowed', async () => {
  await open()
  const answer = await raw(
    `CONNECT allowed.example:${port} HTTP/1.1\r\nHost: allowed.example:${port}\r\n\r\nGET /tunnel HTTP/1.1\r\nHost: inner\r\nConnection: close\r\n\r\n`,
  )
  expect(answer).toMatch(/^HTTP\/1\.1 200 Connection established\r\n\r\nHTTP\/1\.1 200 OK[\s\S]*the page/)
  expect(heard[0]?.url).toBe('/tunnel')
})

test('connects to no address that is not public, whatever name leads there', async () => {
  for (const address of ['127.0.0.1', '10.0.0.1', '169.254.169.254', '::1', '::ffff:127.0.0.1', 'fe80::1']) {
    await open({ privateAddresses: false, resolve: async () => [address] })
    expect([address, (await get(`http://allowed.example:${port}/`)).status]).toEqual([address, 403])
    expect(await raw(`CONNECT allowed.example:${port} HTTP/1.1\r\n\r\n`)).toMatch(/^HTTP\/1\.1 403 /)
    await proxy?.[Symbol.asyncDispose]()
  }
  expect(heard).toEqual([])
})

test('a name that nobody knows and a host that does not answer are told as such', async () => {
  await open({ resolve: () => Promise.reject(new Error('no such name')) })
  expect(await get(`http://allowed.example:${port}/`)).toMatchObject({ status: 502, text: 'no such name\n' })
  await proxy?.[Symbol.asyncDispose]()
  await open({ ports: [1] })
  expect((await get('http://allowed.example:1/')).status).toBe(502)
})

test('disposing ends what is connected', async () => {
  await open()
  const socket = connect(proxyPort, '127.0.0.1')
  await new Promise<void>((resolve) => socket.once('connect', resolve))
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.on('error', () => undefined)
  await proxy?.[Symbol.asyncDispose]()
  await closed
})
