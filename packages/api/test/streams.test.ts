import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import type { LogChunk } from '../src/index.ts'
import { bytesOf, codeOf, job, type Served, served, text, until } from './served.ts'

const chunk = (offset: number, content: string, execution = 'e'): LogChunk => ({
  execution,
  node: 'node-1',
  stream: 'stdout',
  offset,
  bytes: new TextEncoder().encode(content),
})

/** Sends a request and reads nothing, until it is resumed. */
const silentReader = async ({ server }: Served, path: string, headers = ''): Promise<Socket> => {
  const socket = connect(server.port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.pause()
  await new Promise((resolve) => socket.once('connect', resolve))
  socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n${headers}\r\n`)
  return socket
}

/** Waits until a count stands still for a while: there is no event for what does not happen. */
const standstill = async (count: () => number): Promise<number> => {
  let before = -1
  while (count() === 0 || before !== count()) {
    before = count()
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  return before
}

const mebibyte = 2 ** 20
/** What lies between a writer and a reader that does not read, beside ours: the kernel's buffers on both sides. */
const between = 16 * mebibyte

test.each<[string, string, string]>([
  ['events', '/api/v1/jobs/job-0001/events', ''],
  ['logs', '/api/v1/jobs/job-0001/logs?follow=true', 'accept: text/event-stream\r\n'],
  ['raw logs', '/api/v1/jobs/job-0001/logs?follow=true', ''],
  ['an archive', '/api/v1/jobs/job-0001/archive', ''],
  ['a file', '/api/v1/jobs/job-0001/results/big', ''],
])('a reader of %s that does not read holds the source back, and one that goes ends it', async (_, path, headers) => {
  const it = await served()
  await it.client.submit(job)
  let pulled = 0
  let open = 0
  const size = 1024 * mebibyte
  const source = async function* <T>(made: (index: number) => T, bytes: number): AsyncGenerator<T, void, undefined> {
    open += 1
    try {
      for (let index = 0; index * bytes < size; index += 1) {
        pulled += bytes
        yield made(index)
      }
    } finally {
      open -= 1
    }
  }
  const bytes = new Uint8Array(65_536).fill(0x61)
  it.node.override({
    history: () => source((sequence) => ({ sequence, at: 0, kind: 'job', id: 'a', event: 'x'.repeat(65_000), actor: 'user', to: 'a' }) as const, 65_536),
    logs: () => source((index) => ({ ...chunk(0, ''), offset: index * 65_536, bytes }), 65_536),
    files: async function* () {
      yield { path: 'big', size, content: () => source(() => bytes, 65_536) }
    },
  })
  const before = process.memoryUsage().arrayBuffers
  const socket = await silentReader(it, path, headers)
  const held = await standstill(() => pulled)
  expect(held).toBeGreaterThan(0)
  expect(held).toBeLessThan(between)
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(between)
  socket.destroy()
  await until(() => open === 0)
  expect(it.faults).toEqual([])
})

test('a reader that is slow gets the newest hint of each shard, not all of them', async () => {
  const it = await served()
  await it.client.submit(job)
  const events = it.client.events('job-0001')[Symbol.asyncIterator]()
  await events.next()
  await until(() => it.node.listening() === 2)
  for (let index = 0; index <= 1000; index += 1) it.node.hint('job-0001', { shard: 0, node: 'node-1', phase: 'run', fraction: index / 1000 })
  for (let shard = 1; shard < 10_000; shard += 1) it.node.hint('job-0001', { shard, node: 'node-1', phase: 'stage' })
  it.node.end('job-0001')
  const hints = []
  for (let next = await events.next(); next.done !== true; next = await events.next()) if (next.value.type === 'progress') hints.push(next.value.progress)
  expect(hints[0]).toEqual({ shard: 0, node: 'node-1', phase: 'run', fraction: 1 })
  expect(hints).toHaveLength(256)
  await until(() => it.node.listening() === 0)
})

test('a stream on which nothing happens says that it lives', async () => {
  const it = await served({ limits: { heartbeat: 10 } })
  await it.client.submit(job)
  const response = await fetch(`${it.server.url}/api/v1/jobs/job-0001/events`)
  let got = ''
  for await (const bytes of response.body ?? []) {
    got += text(bytes)
    if (got.split(': still here\n\n').length > 3) break
  }
  expect(got.startsWith(': skrei\n\nid: 1\nevent: history\n')).toBe(true)
  await until(() => it.node.listening() === 0)
})

test('events and logs go on after a lost connection, each once', async () => {
  const it = await served()
  await it.client.submit(job)
  let connections = 0
  const broken: typeof fetch = async (input, init) => {
    const response = await fetch(input, init)
    if (init?.method !== 'GET') return response
    connections += 1
    // Every connection but the last breaks after some events.
    let left = 400 + connections
    const breaking = new TransformStream<Uint8Array, Uint8Array>({
      transform: (piece, controller) => {
        controller.enqueue(connections < 20 ? piece.subarray(0, left) : piece)
        left -= piece.length
        if (left < 0 && connections < 20) controller.error(new Error('the line is cut'))
      },
    })
    return new Response(response.body?.pipeThrough(breaking) ?? null, { status: response.status, headers: response.headers })
  }
  const { apiClient } = await import('../src/client.ts')
  const client = apiClient({ url: it.server.url, fetch: broken, sleep: async () => undefined })
  for (let index = 0; index < 30; index += 1) it.node.tell('job-0001', `s${index}`)
  for (let index = 0; index < 30; index += 1) it.node.logs.push(chunk(index * 2, 'ab'))
  for (let index = 0; index < 30; index += 1) it.node.logs.push(chunk(index * 2, 'cd', 'e:2'))
  it.node.end('job-0001')
  const seen = []
  for await (const event of client.events('job-0001')) if (event.type === 'history') seen.push(event.item.sequence)
  expect(seen).toEqual(Array.from({ length: 32 }, (_, index) => index + 1))
  expect(connections).toBeGreaterThan(5)
  connections = 0
  let written = ''
  // The fake knows executions by name only: it gives the second after the first.
  for await (const { bytes } of client.logs('job-0001', { follow: true })) written += text(bytes)
  expect(written).toContain('ab'.repeat(30))
  expect(connections).toBeGreaterThan(1)
})

test('a log goes on where its reader says that it is', async () => {
  const it = await served()
  await it.client.submit(job)
  const asked: unknown[] = []
  it.node.override({
    // biome-ignore lint/correctness/useYield: what it is asked for is what counts
    logs: async function* (_, { signal: __, ...options }) {
      asked.push(options)
    },
  })
  const drain = async (options: Parameters<typeof it.client.logs>[1]) => {
    for await (const _ of it.client.logs('job-0001', options)) throw new Error('there is nothing')
  }
  await drain({ shard: 3, stream: 'stderr', follow: true, from: { execution: 'a:b', stdout: 5, stderr: 7 } })
  await drain({})
  expect(asked).toEqual([
    { shard: 3, stream: 'stderr', follow: true, from: { execution: 'a:b', stdout: 5, stderr: 7 } },
    { shard: 0, follow: false },
  ])
})

test('an error of a stream that has begun reaches its reader with its code, and is not tried again', async () => {
  const it = await served()
  await it.client.submit(job)
  const { ApiError } = await import('../src/index.ts')
  let asked = 0
  it.node.override({
    logs: async function* () {
      asked += 1
      yield chunk(0, 'a')
      throw new ApiError('logs-gone', 'nothing is left')
    },
  })
  let got = ''
  const read = async () => {
    for await (const { bytes } of it.client.logs('job-0001')) got += text(bytes)
  }
  await expect(read()).rejects.toMatchObject({ code: 'logs-gone', message: 'nothing is left' })
  expect([got, asked]).toEqual(['a', 1])
  it.node.override({
    // biome-ignore lint/correctness/useYield: it fails before it has anything
    logs: async function* () {
      throw new ApiError('logs-gone', 'nothing is left')
    },
  })
  const raw = await fetch(`${it.server.url}/api/v1/jobs/job-0001/logs`)
  expect(raw.status).toBe(410)
  expect(it.faults).toEqual([])
})

test('a stream that is only broken off, or whose job goes on, is to be asked for again', async () => {
  const it = await served()
  await it.client.submit(job)
  const read = async (route: string) => (await fetch(`${it.server.url}/api/v1/jobs/job-0001/${route}`, { headers: { accept: 'text/event-stream' } })).text()
  it.node.override({
    // biome-ignore lint/correctness/useYield: the node stops before anything happens
    history: async function* () {
      throw new DOMException('the node stops', 'AbortError')
    },
    // biome-ignore lint/correctness/useYield: the node stops before anything is written
    logs: async function* () {
      throw Object.assign(new Error('the node stops'), { code: 'draining' })
    },
  })
  for (const route of ['events', 'logs']) expect(await read(route)).toBe(': skrei\n\nretry: 1000\n\n')
  it.node.override({ history: async function* () {} })
  expect(await read('events')).toBe(': skrei\n\nretry: 1000\n\n')
  expect(it.faults).toEqual([])
})

test('a log that cannot be read for a while goes on where it was', async () => {
  const it = await served()
  await it.client.submit(job)
  const from: unknown[] = []
  it.node.override({
    logs: async function* (_, options) {
      from.push(options.from)
      yield chunk(from.length - 1, 'a')
      if (from.length < 4) throw Object.assign(new Error('its node does not answer'), { code: 'logs-unavailable' })
    },
  })
  let got = ''
  for await (const { bytes } of it.client.logs('job-0001', { follow: true })) got += text(bytes)
  expect(got).toBe('aaaa')
  expect(from).toEqual([undefined, ...[1, 2, 3].map((stdout) => ({ execution: 'e', stdout, stderr: 0 }))])
})

test('what goes wrong inside the node while a stream is open is told to the node, and to the reader only as such', async () => {
  const it = await served()
  await it.client.submit(job)
  const error = new Error('a secret of the node')
  it.node.override({
    // biome-ignore lint/correctness/useYield: it fails before it has anything
    history: async function* () {
      throw error
    },
  })
  const text = await (await fetch(`${it.server.url}/api/v1/jobs/job-0001/events`)).text()
  expect(text).toContain('event: error\ndata: {"error":{"code":"node-fault"')
  expect(text).not.toContain('secret')
  expect(it.faults).toEqual([error])
})

test('an id that does not fit into a line is left out', async () => {
  const it = await served()
  await it.client.submit(job)
  it.node.logs.push(chunk(0, 'a\nb', 'e\nevent: end'))
  it.node.end('job-0001')
  const text = await (await fetch(`${it.server.url}/api/v1/jobs/job-0001/logs`, { headers: { accept: 'text/event-stream' } })).text()
  expect(text).toMatch(/^: skrei\n\nevent: log\ndata: \{[^\n]*\}\n\nevent: end\ndata: \{\}\n\n$/)
})

test('content that breaks off in the middle is not taken for all of it', async () => {
  const it = await served()
  await it.client.submit(job)
  it.node.override({
    files: async function* () {
      yield {
        path: 'a',
        size: 10,
        content: async function* () {
          yield new Uint8Array(5)
          throw new Error('the disk is gone')
        },
      }
    },
  })
  const file = async () => bytesOf((await it.client.resultFile('job-0001', 'a')).content)
  expect(await codeOf(file())).toBe('unreachable')
  expect(await codeOf(bytesOf(it.client.archive('job-0001')))).toBe('unreachable')
  expect(it.faults).toHaveLength(2)
})

test('who waits for what is not written yet is not cut off, and who takes nothing of what is there is', async () => {
  const it = await served({ limits: { clientSilence: 50 } })
  await it.client.submit(job)
  it.node.logs.push({ execution: 'e:1', node: 'node-1', stream: 'stdout', offset: 0, bytes: new TextEncoder().encode('one ') })
  const quiet = await fetch(`${it.server.url}/api/v1/jobs/job-0001/logs?follow=true`)
  const reader = quiet.body?.getReader()
  expect(text((await reader?.read())?.value ?? new Uint8Array())).toBe('one ')

  let taken = 0
  let ended = false
  it.node.override({
    files: async function* () {
      try {
        while (true) {
          taken++
          yield {
            path: `${taken}`,
            size: 65_536,
            content: async function* () {
              yield new Uint8Array(65_536)
            },
          }
        }
      } finally {
        ended = true
      }
    },
  })
  const socket = connect(it.server.port, '127.0.0.1').pause()
  socket.on('error', () => undefined)
  socket.write('GET /api/v1/jobs/job-0001/archive HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await until(() => ended)
  socket.destroy()

  // The other was silent for longer.
  it.node.logs.push({ execution: 'e:1', node: 'node-1', stream: 'stdout', offset: 4, bytes: new TextEncoder().encode('two') })
  it.node.end('job-0001')
  expect(text((await reader?.read())?.value ?? new Uint8Array())).toBe('two')
})

test('only so many streams are open at a time, and one that ends makes room', async () => {
  const it = await served({ limits: { streams: 2 } }, { retry: { attempts: 1 } })
  await it.client.submit(job)
  const controllers = [new AbortController(), new AbortController()]
  for (const { signal } of controllers) await it.client.events('job-0001', { signal })[Symbol.asyncIterator]().next()
  const response = await fetch(`${it.server.url}/api/v1/jobs/job-0001/events`)
  expect([response.status, response.headers.get('retry-after')]).toEqual([503, '5'])
  for (const route of ['logs', 'results/a', 'archive']) expect((await fetch(`${it.server.url}/api/v1/jobs/job-0001/${route}`)).status).toBe(503)
  expect(await codeOf(it.client.addBlob(new Uint8Array(1)))).toBe('too-many-streams')
  expect((await it.client.job('job-0001')).id).toBe('job-0001')
  controllers[0]?.abort()
  await until(() => it.node.listening() < 4)
  await it.client
    .events('job-0001', { signal: AbortSignal.timeout(60_000) })
    [Symbol.asyncIterator]()
    .next()
  // What is refused, or has ended, holds no place.
  it.node.end('job-0001')
  for (let index = 0; index < 10; index += 1) for await (const _ of it.client.events('job-0001'));
  for (let index = 0; index < 10; index += 1) expect(await codeOf(it.client.resultFile('job-0001', 'none'))).toBe('file-not-found')
})

test('only so many requests are answered at a time', async () => {
  const it = await served({ limits: { requests: 2 } })
  await it.client.submit(job)
  const { finished } = it.node.service
  let waited = 0
  it.node.override({
    finished: (id, options) => {
      waited += 1
      return finished(id, options)
    },
  })
  const waiting = [it.client.job('job-0001', { wait: 60 }), it.client.job('job-0001', { wait: 60 })]
  await until(() => waited === 2)
  expect(await codeOf(it.client.health())).toBe('too-many-requests')
  it.node.end('job-0001')
  await Promise.all(waiting)
  expect((await it.client.health()).status).toBe('ready')
})

test('who goes away while a job is planned, waited for or sent, ends what was begun', async () => {
  const it = await served()
  await it.client.submit(job)
  const begun: string[] = []
  const ended: string[] = []
  const hang = (name: string, signal: AbortSignal) => {
    begun.push(name)
    return new Promise<never>((_, reject) =>
      signal.addEventListener('abort', () => {
        ended.push(name)
        reject(signal.reason)
      }),
    )
  }
  it.node.override({
    plan: (_, { signal }) => hang('plan', signal),
    finished: (_, { signal }) => hang('wait', signal),
    addBlob: (_, { signal }) => hang('blob', signal),
  })
  const controller = new AbortController()
  const { signal } = controller
  const calls = [it.client.plan(job, { signal }), it.client.job('job-0001', { wait: 60, signal }), it.client.addBlob(new Uint8Array(1), { signal })]
  const all = Promise.allSettled(calls)
  await until(() => begun.length === 3)
  const reason = new Error('no more')
  controller.abort(reason)
  expect((await all).map((one) => one.status === 'rejected' && one.reason)).toEqual([reason, reason, reason])
  await until(() => ended.length === 3)
  expect(it.faults).toEqual([])
})
