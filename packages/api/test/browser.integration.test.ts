import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, connect, createServer as createRelay, type Socket } from 'node:net'
import { delimiter, join } from 'node:path'
import { pipeline } from 'node:stream'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { ApiError, type apiClient } from '../src/client.ts'
import { clientBundle } from './client-bundle.ts'
import { job, type Served, served, text, until } from './served.ts'

const program = (process.env['PATH'] ?? '')
  .split(delimiter)
  .map((directory) => join(directory, 'chromium'))
  .find((path) => existsSync(path))

// In CI it is there, or this fails.
const inBrowser = program === undefined && process.env['CI'] !== 'true' ? test.skip : test
const note = program === undefined ? ' (skipped: there is no chromium; run: sudo bash scripts/ci-machine)' : ''

/** What the page below has in its global scope. */
interface Scope {
  readonly apiClient: typeof apiClient
  readonly tell: (word: string) => Promise<void>
  /** Whether the page could load something as an element of it. */
  readonly loads: (tag: 'img' | 'script', from: string) => Promise<boolean>
}
declare const window: Scope

const html = `<!doctype html><title>a page</title><body><script type="module">
import { apiClient } from '/client.js'
const loads = (tag, from) =>
  new Promise((resolve) => {
    const made = Object.assign(document.createElement(tag), { onload: () => resolve(true), onerror: () => resolve(false), src: from })
    document.body.append(made)
  })
Object.assign(window, { apiClient, loads })
</script>`

let browser: Browser | undefined
/** Serves the page at every name that leads here. */
const site = createServer()
const originOf = (name: string): string => `http://${name}:${(site.address() as AddressInfo).port}`

beforeAll(async () => {
  if (program === undefined) return
  const { code } = await clientBundle()
  site.on('request', ({ url }, response) => {
    if (url === '/client.js') response.writeHead(200, { 'content-type': 'text/javascript' }).end(code)
    else response.writeHead(url === '/' ? 200 : 404, { 'content-type': 'text/html' }).end(url === '/' ? html : '')
  })
  await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve))
  browser = await chromium.launch({ executablePath: program, args: ['--host-resolver-rules=MAP *.example 127.0.0.1'] })
})

afterAll(async () => {
  await browser?.close()
  site.closeAllConnections()
  site.close()
})

/** The page of a site, opened in a browser that knows no other. `told` holds what it tells. */
const open = async (url: string): Promise<{ readonly page: Page; readonly told: string[] }> => {
  if (browser === undefined) throw new Error('there is no chromium; run: sudo bash scripts/ci-machine')
  const context = await browser.newContext()
  onTestFinished(() => context.close())
  const page = await context.newPage()
  const told: string[] = []
  await page.exposeFunction('tell', (word: string) => told.push(word))
  await page.goto(url)
  if (new URL(url).port === new URL(originOf('localhost')).port) await page.waitForFunction(() => 'apiClient' in window)
  return { page, told }
}

/** A node that lets pages of `localhost` in, and such a page. */
const allowed = async (): Promise<Served & { readonly page: Page; readonly told: string[] }> => {
  const it = await served({ origins: [originOf('localhost')] })
  return { ...it, ...(await open(originOf('localhost'))) }
}

inBrowser(`a page of an allowed origin submits a job once, follows what happens to it, and fetches its result${note}`, async () => {
  const { page, told, node, server } = await allowed()
  node.files.push({
    path: 'shards/0/stdout',
    size: 5,
    content: async function* ({ from = 0 }) {
      yield new TextEncoder().encode('words').subarray(from)
    },
  })
  const followed = page.evaluate(
    async ([url, file]) => {
      const client = window.apiClient({ url })
      const first = await client.submit(file, { key: 'one' })
      const again = await client.submit(file, { key: 'one' })
      await window.tell(`${first.job.id} ${first.created} ${again.created}`)
      for await (const event of client.events(first.job.id)) if (event.type === 'history' && 'to' in event.item) await window.tell(event.item.to)
      const { state } = await client.finished(first.job.id)
      const { size, content } = await client.resultFile(first.job.id, 'shards/0/stdout', { from: 1 })
      let read = ''
      for await (const bytes of content) read += new TextDecoder().decode(bytes)
      return [state, (await client.result(first.job.id)).state, size, read]
    },
    [server.url, job] as const,
  )
  // Each is told on only once the page has seen what came before: it follows, and does not read at the end.
  await until(() => told.length === 2)
  expect(told).toEqual(['job-0001 true false', 'running'])
  node.tell('job-0001', 'further')
  await until(() => told.length === 3)
  node.end('job-0001')
  expect(await followed).toEqual(['completed', 'completed', 5, 'ords'])
  expect(told.slice(2)).toEqual(['further', 'completed'])
})

inBrowser(`a page follows what a program writes, and goes on where a connection broke, each byte once${note}`, async () => {
  const { page, told, node, server, client } = await allowed()
  const { job: submitted } = await client.submit(job)
  const say = (offset: number, word: string) => {
    node.logs.push({ execution: 'e', node: 'n', stream: 'stdout', offset, bytes: new TextEncoder().encode(word) })
    node.tell(submitted.id, 'more')
  }
  // What stands between them, and breaks.
  const sockets = new Set<Socket>()
  const relay = createRelay((socket) => {
    sockets.add(socket)
    pipeline(socket, connect(server.port, '127.0.0.1'), socket, () => undefined)
  })
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void relay.close())
  const followed = page.evaluate(
    async ([url, id]) => {
      const decoder = new TextDecoder()
      for await (const { bytes } of window.apiClient({ url }).logs(id, { follow: true })) await window.tell(decoder.decode(bytes))
    },
    [`http://127.0.0.1:${(relay.address() as AddressInfo).port}`, submitted.id] as const,
  )
  say(0, 'one ')
  await until(() => told.length === 1)
  const before = sockets.size
  for (const socket of sockets) socket.destroy()
  say(4, 'two')
  await until(() => told.length === 2)
  node.end(submitted.id)
  await followed
  expect(told).toEqual(['one ', 'two'])
  expect(sockets.size).toBeGreaterThan(before)
})

inBrowser(`a page gives the node bytes, a file of its user and a directory of such${note}`, async () => {
  const { page, node, server } = await allowed()
  const cids = await page.evaluate(async (url) => {
    const client = window.apiClient({ url })
    const file = new File(['of ', 'the user'], 'letter.txt')
    const bytes = new TextEncoder().encode('bytes')
    return [
      await client.addBlob(bytes),
      await client.addBlob(file),
      await client.addTree([
        { path: 'a/letter.txt', size: file.size, content: file },
        { path: 'b', size: bytes.length, content: bytes },
      ]),
    ].map(({ cid }) => cid)
  }, server.url)
  expect(cids).toEqual(['cid-of-file', 'cid-of-file', 'cid-of-tree'])
  expect(node.kept.map(({ path, bytes }) => [path, text(bytes)])).toEqual([
    ['', 'bytes'],
    ['', 'of the user'],
    ['a/letter.txt', 'of the user'],
    ['b', 'bytes'],
  ])
})

inBrowser(`a page that is told of an error has its code, its place and when to come again${note}`, async () => {
  const { page, node, server } = await allowed()
  const refused = page.evaluate(async (url) => {
    const client = window.apiClient({ url })
    const errorOf = (promise: Promise<unknown>) =>
      promise.then(
        () => 'resolved',
        ({ code, status, line, retryAfter }) => [code, status, line, retryAfter],
      )
    return [await errorOf(client.submit('apiVersion: skrei/v1\nengine:\n  tpye: noop\n')), await errorOf(client.nodes())]
  }, server.url)
  node.override({
    nodes: () => {
      throw new ApiError('too-many-requests', 'busy', { retryAfter: 7 })
    },
  })
  expect(await refused).toEqual([
    ['missing-key', 422, 3, undefined],
    ['too-many-requests', 503, undefined, 7],
  ])
})

inBrowser(`what the node itself answers with may ask it, as the page of its own that it is${note}`, async () => {
  const { server } = await served()
  const { page } = await open(`${server.url}/openapi.json`)
  expect(await page.evaluate(async () => (await fetch('/api/v1/health')).status)).toBe(200)
})

inBrowser.each(['localhost', 'other.example'])(
  `a page of an origin that is not allowed reads nothing of the node and changes nothing in it: %s${note}`,
  async (name) => {
    const { server, node, client } = await served({ origins: [originOf('127.0.0.1')] })
    await client.submit(job)
    const { page } = await open(originOf(name))
    const seen = await page.evaluate(
      async ([url, file]) => {
        const api = window.apiClient({ url, retry: { attempts: 1 } })
        const codeOf = (promise: Promise<unknown>) =>
          promise.then(
            () => 'resolved',
            ({ code, name: kind }) => code ?? kind,
          )
        const simple = { method: 'POST', mode: 'no-cors', body: file } as const
        return [
          await codeOf(api.health()),
          await codeOf(api.submit(file, { key: 'theirs' })),
          await codeOf(api.addBlob(new TextEncoder().encode(file))),
          await codeOf(fetch(`${url}/api/v1/jobs`, { ...simple, headers: { 'content-type': 'text/plain' } })),
          await codeOf(fetch(`${url}/api/v1/jobs/job-0001/stop`, simple)),
          await window.loads('script', `${url}/openapi.json`),
          await window.loads('img', `${url}/metrics`),
        ]
      },
      [server.url, job] as const,
    )
    // An answer to `no-cors` resolves, and says nothing: what the node made of it is seen below.
    expect(seen).toEqual(['unreachable', 'unreachable', 'unreachable', 'resolved', 'resolved', false, false])
    expect([node.service.jobs({ limit: 10 }).length, node.service.job('job-0001')?.state, node.kept]).toEqual([1, 'running', []])
  },
)

inBrowser(`a link and a form of another site come to nothing${note}`, async () => {
  const { server, node, client } = await served()
  await client.submit(job)
  const { page } = await open(originOf('other.example'))
  const follow = async (make: string): Promise<string> => {
    await page.goto(originOf('other.example'))
    await page.setContent(make)
    const [answer] = await Promise.all([page.waitForResponse((response) => response.url().startsWith(server.url)), page.click('#it')])
    return `${answer.status()} ${JSON.parse(await answer.text()).error.code}`
  }
  expect(await follow(`<a id="it" href="${server.url}/api/v1/jobs">see</a>`)).toBe('403 origin-refused')
  expect(await follow(`<form action="${server.url}/api/v1/jobs/job-0001/stop" method="post"><button id="it">go</button></form>`)).toBe('403 origin-refused')
  expect(node.service.job('job-0001')?.state).toBe('running')
})

inBrowser(`a name of somebody else that was pointed at the node leads nowhere${note}`, async () => {
  const { server } = await served()
  const { page } = await open(originOf('other.example'))
  const answer = await page.goto(`http://other.example:${server.port}/api/v1/jobs`)
  expect([answer?.status(), JSON.parse((await answer?.text()) ?? '').error.code]).toEqual([403, 'host-refused'])
})
