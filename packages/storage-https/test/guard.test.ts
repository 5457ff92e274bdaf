import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { failureOf } from '@skrei/job-spec'
import { request } from 'undici'
import { expect, test } from 'vitest'
import { exchange } from '../src/exchange.ts'
import { guardedAgent } from '../src/guarded-agent.ts'
import { type HttpsSourceOptions, httpsSource } from '../src/index.ts'
import { testServer } from './test-server.ts'

const code = async (url: string, options: HttpsSourceOptions = {}) => {
  const directory = await mkdtemp(join(tmpdir(), 'skrei-https-'))
  await using source = httpsSource({ attempts: 2, retryDelay: 1, ...options })
  try {
    for await (const _bytes of source.stage({ path: 'x', source: { type: 'https', url } }, join(directory, 'into'), { maxBytes: 1000 }));
    return 'ok'
  } catch (error) {
    expect(await readdir(directory)).toEqual([])
    return failureOf(error)?.code ?? String(error)
  } finally {
    await rm(directory, { recursive: true })
  }
}

test('every address that is not one of the public Internet is refused, in every spelling, before a connection', async () => {
  await using server = await testServer((_request, response) => response.end('secret'))
  const port = new URL(server.origin).port
  const hosts = [
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '0',
    '0.0.0.0',
    '10.0.0.1',
    '100.64.0.1',
    '169.254.169.254',
    '172.16.0.1',
    '192.168.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::127.0.0.1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '[fe80::1]',
    '[fc00::1]',
    '[fd00:ec2::254]',
    '[ff02::1]',
    '[fec0::1]',
    'localhost',
    '127.0.0.1.',
    '１２７.0.0.1',
  ]
  for (const host of hosts) expect(`${host}: ${await code(`http://${host}:${port}/`)}`).toBe(`${host}: source-forbidden`)
  expect(server.requests).toEqual([])
})

test('a redirect to a private address is refused', async () => {
  await using secret = await testServer((_request, response) => response.end('secret'))
  await using server = await testServer((_request, response) => response.writeHead(302, { location: secret.origin }).end())
  // The first hop stands for a public server: only the agent lets it through, so that the check of the second hop is what is seen.
  const dispatcher = guardedAgent({ allowPrivateAddresses: true, connectTimeout: 1000, ca: [], resolve: async () => [{ address: '127.0.0.1', family: 4 }] })
  const options = {
    method: 'GET',
    headers: {},
    dispatcher: async () => dispatcher,
    maxRedirects: 5,
    allowPrivateAddresses: false,
    signal: new AbortController().signal,
  } as const
  const error: unknown = await exchange(new URL(`http://public.test:${new URL(server.origin).port}/`), options).catch((thrown: unknown) => thrown)
  await dispatcher.destroy()
  expect(failureOf(error)?.code).toBe('source-forbidden')
  expect(server.requests).toHaveLength(1)
  expect(secret.requests).toEqual([])
})

test('the agent itself refuses a literal address, whoever asks it', async () => {
  await using server = await testServer((_request, response) => response.end('secret'))
  const dispatcher = guardedAgent({ allowPrivateAddresses: false, connectTimeout: 1000, ca: [], resolve: async () => [] })
  const error: unknown = await request(server.origin, { dispatcher }).catch((thrown: unknown) => thrown)
  await dispatcher.destroy()
  expect(failureOf(error)?.code).toBe('source-forbidden')
  expect(server.requests).toEqual([])
})

test('a name that resolves to private addresses only is refused, and one that answers differently the next time gains nothing', async () => {
  await using server = await testServer((_request, response) => response.end('secret'))
  const url = `http://rebinding.test:${new URL(server.origin).port}/`
  for (const addresses of [['127.0.0.1'], ['10.0.0.1', '::1'], ['::ffff:127.0.0.1'], ['fe80::1%lo'], ['nonsense'], []]) {
    const resolve = async () => addresses.map((address) => ({ address, family: address.includes(':') ? (6 as const) : (4 as const) }))
    expect(await code(url, { resolve })).toBe('source-forbidden')
  }
  let asked = 0
  // First a public address (of a documentation network of IPv6 that nobody routes would be refused, so one that never answers), then loopback.
  const rebinding = async () => {
    asked += 1
    return [{ address: asked === 1 ? '192.0.1.1' : '127.0.0.1', family: 4 as const }]
  }
  expect(await code(url, { resolve: rebinding, connectTimeout: 50, silenceTimeout: 50 })).toBe('source-forbidden')
  expect(asked).toBe(2)
  expect(server.requests).toEqual([])
})

test('a name that cannot be resolved is source-unreachable', async () => {
  expect(await code('http://missing.test/', { resolve: () => Promise.reject(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' })) })).toBe(
    'source-unreachable',
  )
})

test('where private addresses are allowed they are opened', async () => {
  await using server = await testServer((_request, response) => response.end('fine'))
  expect(await code(server.origin, { allowPrivateAddresses: true })).toBe('ok')
  expect(await code(server.origin.replace('127.0.0.1', 'localhost'), { allowPrivateAddresses: true })).toBe('ok')
})

test('proxies in the environment are not used', async () => {
  await using proxy = await testServer((_request, response) => response.end('proxy'))
  await using server = await testServer((_request, response) => response.end('server'))
  const before = { ...process.env }
  try {
    for (const name of ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY', 'ALL_PROXY', 'NODE_USE_ENV_PROXY'])
      process.env[name] = name === 'NODE_USE_ENV_PROXY' ? '1' : proxy.origin
    process.env['no_proxy'] = process.env['NO_PROXY'] = ''
    expect(await code(server.origin, { allowPrivateAddresses: true })).toBe('ok')
  } finally {
    process.env = before
  }
  expect([proxy.requests.length, server.requests.length]).toEqual([0, 1])
})
