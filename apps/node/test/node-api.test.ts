import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { ApiError } from '@skrei/api/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bytesOf, codeOf, nodes, noop, type RunningNode } from './node-process.ts'

// One node for all: what is asked of it changes nothing that another test looks at.
const all = nodes()
let node: RunningNode
let done: string
beforeAll(async () => {
  mkdirSync(join(all.root, 'data'))
  writeFileSync(join(all.root, 'data/a.txt'), 'alpha')
  mkdirSync(join(all.root, 'secret'))
  writeFileSync(join(all.root, 'secret/b.txt'), 'beta')
  const api = {
    SKREI_API_HOSTS: 'node.example',
    SKREI_API_ORIGINS: 'https://dashboard.example',
    SKREI_API_BLOB_BYTES: '1Mi',
    SKREI_API_TOTAL_BLOB_BYTES: '3Mi',
  }
  node = await all.start('a', ['--allow-local-path', 'data', '--label', 'zone=a'], { SKREI_LOG_LEVEL: 'warn', ...api })
  const { job } = await node.client.submit(
    noop('name: hello\noutputs: [{ name: out, path: /outputs }]\n', 'stdout: "hi\\n", files: { /outputs/x.txt: "content\\n" }'),
  )
  done = (await node.client.finished(job.id)).id
}, 180_000)
afterAll(async () => {
  const { code, stderr } = await node.stop()
  await all[Symbol.asyncDispose]()
  // No request was the node's fault.
  expect([code, stderr]).toEqual([0, expect.not.stringMatching(/error|fault/)])
}, 60_000)

const get = (path: string, init: RequestInit = {}): Promise<Response> => fetch(`${node.api}${path}`, init)
const code = async (answer: Promise<Response>): Promise<readonly [number, string]> => {
  const { status, ...rest } = await answer.then(async (response) => ({
    status: response.status,
    ...((await response.json()) as { readonly error: { readonly code: string } }),
  }))
  return [status, rest.error.code]
}

describe('every route of a real node, by the typed client', () => {
  test('says what the node is', async () => {
    const { client } = node
    expect((await client.health()).status).toBe('ready')
    expect(await client.node()).toMatchObject({
      roles: ['requester', 'compute'],
      labels: { zone: 'a' },
      sources: ['local', 'inline', 'https', 'ipfs'],
      publishers: ['ipfs', 'none'],
      engines: [{ name: 'wasm' }, { name: 'noop' }],
      standing: { queued: 0, jobs: { open: 0 } },
    })
    expect((await client.nodes()).map(({ node: id }) => id)).toEqual([node.nodeId])
    expect(await client.peers()).toEqual([])
  })

  test('validates and plans', async () => {
    expect(await node.client.validate(noop())).toEqual({ specCid: expect.stringMatching(/^baf/), warnings: [] })
    expect((await node.client.validate(noop('constraints: ["zone = b"]\n'))).warnings).toMatchObject([{ code: 'constraint' }])
    expect(await node.client.plan(noop())).toMatchObject({ outcome: 'runs', nodes: [{ node: node.nodeId, answer: 'runs' }] })
  })

  test('lists, describes and shows a job, its shards, events, logs, result and files', async () => {
    const { client } = node
    expect((await client.jobs({ state: 'completed', limit: 1000 })).jobs.map(({ id }) => id)).toContain(done)
    expect(await client.job(done.slice(0, 20))).toMatchObject({ id: done, name: 'hello', state: 'completed' })
    expect(await client.spec(done)).toMatchObject({ apiVersion: 'skrei/v1', name: 'hello' })
    expect((await client.shards(done)).shards).toMatchObject([{ index: 0, state: 'completed', exit: 0 }])
    const states: string[] = []
    for await (const event of client.events(done)) if (event.type === 'history' && event.item.kind === 'job' && 'to' in event.item) states.push(event.item.to)
    expect(states.at(-1)).toBe('completed')
    const chunks: string[] = []
    for await (const chunk of client.logs(done, { follow: true })) chunks.push(Buffer.from(chunk.bytes).toString())
    expect(chunks.join('')).toBe('hi\n')
    expect(await client.result(done)).toMatchObject({ jobId: done, state: 'completed', reference: { type: 'ipfs' } })
    const { size, content } = await client.resultFile(done, 'shards/0/outputs/out/x.txt')
    expect([size, (await bytesOf(content)).toString()]).toEqual([8, 'content\n'])
    expect((await bytesOf(client.archive(done))).includes('content\n')).toBe(true)
  })

  test('logs are live: what is written is read while the program runs', async () => {
    const { job } = await node.client.submit(noop('publisher: { type: none }\n', 'stdout: "early\\n", duration: 1h'))
    for await (const { bytes } of node.client.logs(job.id, { follow: true })) {
      expect(Buffer.from(bytes).toString()).toBe('early\n')
      break
    }
    await node.client.stop(job.id)
    expect((await node.client.finished(job.id)).state).toBe('cancelled')
    await node.client.stop(job.id)
  })

  test('a key makes one job of two submissions, and no other job', async () => {
    const first = await node.client.submit(noop('publisher: { type: none }\n'), { key: 'k' })
    const second = await node.client.submit(noop('publisher: { type: none }\n'), { key: 'k' })
    expect([first.created, second.created, second.job.id]).toEqual([true, false, first.job.id])
    expect(await codeOf(node.client.submit(noop('name: other\n'), { key: 'k' }))).toBe('key-reused')
  })

  test('local files within what is allowed are read', async () => {
    const path = join(all.root, 'data')
    const { job } = await node.client.submit(noop(`inputs: [{ source: { type: local, path: ${path} }, path: /inputs }]\n`))
    expect((await node.client.finished(job.id)).state).toBe('completed')
  })

  test('counts', async () => {
    const text = await node.client.metrics()
    expect(text).toMatch(/skrei_jobs_total\{state="completed"\} [1-9]/)
    expect(text).toMatch(/skrei_executions_total\{state="\w+"\} [1-9]/)
    expect(text).toMatch(/skrei_executions_kept \d+\n/)
    expect(text).toMatch(/skrei_capacity\{resource="cpu"\} \d+/)
    expect(text).toMatch(/nodejs_eventloop_lag_seconds [\d.e-]+/)
    expect(text).not.toMatch(/nan/i)
    // It took longer than this to start.
    expect(Number(/^process_cpu_seconds_total (\S+)/m.exec(text)?.[1])).toBeGreaterThan(0.1)
    expect(text).toContain(`node="${node.nodeId}"`)
  })
})

describe('bad input on every route is told, and harms nothing', () => {
  const paths = ['', '/spec', '/shards', '/events', '/logs', '/results', '/results/x', '/archive']
  test.each(paths)('of a job that is not there: /jobs/{id}%s', async (path) => {
    expect(await code(get(`/api/v1/jobs/01234567-nowhere${path}`))).toEqual([404, 'job-not-found'])
    // Too short to be the beginning of one.
    expect(await code(get(`/api/v1/jobs/${done.slice(0, 3)}${path}`))).toEqual([404, 'job-not-found'])
  })

  test.each([
    ['POST', '/api/v1/jobs/01234567-nowhere/stop', 404, 'job-not-found'],
    ['GET', '/api/v1/jobs?limit=0', 400, 'bad-request'],
    ['GET', '/api/v1/jobs?state=happy', 400, 'bad-request'],
    ['DELETE', '/api/v1/jobs', 405, 'method-not-allowed'],
    ['GET', '/api/v1/nothing', 404, 'no-route'],
    ['POST', '/api/v1/blobs', 415, 'unsupported-media-type'],
  ])('%s %s', async (method, path, status, expected) => {
    expect(await code(get(path, { method }))).toEqual([status, expected])
  })

  test('of a job: shards, files, logs and positions that are not there', async () => {
    expect(await code(get(`/api/v1/jobs/${done}?wait=1e9`))).toEqual([400, 'bad-request'])
    expect(await code(get(`/api/v1/jobs/${done}/results/no/such`))).toEqual([404, 'file-not-found'])
    expect(await code(get(`/api/v1/jobs/${done}/shards?after=x`))).toEqual([400, 'bad-request'])
    expect(await code(get('/api/v1/jobs?after=zzz'))).toEqual([400, 'bad-request'])
    expect((await code(get(`/api/v1/jobs/${done}/logs?shard=7`)))[0]).toBe(404)
    const { job } = await node.client.submit(noop('publisher: { type: none }\n', 'stdout: "x"'))
    await node.client.finished(job.id)
    expect(await code(get(`/api/v1/jobs/${job.id}/logs?stream=stdout`))).toEqual([410, 'logs-gone'])
    expect(await code(get(`/api/v1/jobs/${job.id}/archive`))).toEqual([409, 'result-not-there'])
  })

  test.each([
    ['validate', 'engine: [', 'yaml-syntax'],
    ['plan', 'apiVersion: skrei/v1\nengine: { type: nop }\n', 'unknown-engine'],
    ['submit', noop('netwrok: {}\n'), 'unknown-key'],
    ['submit', noop('inputs: [{ source: { type: local, path: SECRET/b.txt }, path: /i }]\n'), 'source-forbidden'],
    ['submit', noop('inputs: [{ source: { type: local, path: DATA/none.txt }, path: /i }]\n'), 'source-not-found'],
    ['plan', noop('inputs: [{ source: { type: local, path: b.txt }, path: /i }]\n'), 'source-invalid'],
    ['submit', noop('publisher: { type: local }\n'), 'publisher-unsupported'],
    ['submit', noop('verification: { method: replicas, replicas: 3 }\n'), 'not-built|not-enough-nodes|bad-value|unknown-key|missing-key'],
  ] as const)('%s: %j', async (method, job, expected) => {
    const text = job.replace('SECRET', join(all.root, 'secret')).replace('DATA', join(all.root, 'data'))
    const error = await node.client[method](text).then(
      () => undefined,
      (thrown: unknown) => thrown as ApiError,
    )
    expect(error?.code).toMatch(new RegExp(`^(${expected})$`))
    expect([error?.status, typeof error?.remedy]).toEqual([422, 'string'])
  })

  test('of another site, or under another name', async () => {
    expect(
      await code(get('/api/v1/jobs', { method: 'POST', body: noop(), headers: { origin: 'https://example.org', 'content-type': 'application/yaml' } })),
    ).toEqual([403, 'origin-refused'])
    expect((await get('/api/v1/jobs', { headers: { origin: 'https://dashboard.example' } })).headers.get('access-control-allow-origin')).toBe(
      'https://dashboard.example',
    )
    // `fetch` chooses the host itself.
    const { port } = new URL(node.api)
    const statusOf = async (host: string): Promise<string> => {
      const socket = connect(Number(port), '127.0.0.1')
      socket.end(`GET /api/v1/health HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`)
      const [answer] = await once(socket, 'data')
      socket.destroy()
      return String(answer).slice(9, 12)
    }
    expect([await statusOf('node.example'), await statusOf('evil.example')]).toEqual(['200', '403'])
  })

  test('an upload that is larger than the node takes', async () => {
    expect(await codeOf(node.client.addBlob(new Uint8Array(1024 ** 2 + 1)))).toBe('body-too-large')
    expect(await node.client.addBlob(new Uint8Array(1024 ** 2))).toMatchObject({ bytes: 1024 ** 2 })
  })

  test('uploads that would take more together than the node keeps of them', async () => {
    const blob = (value: number): Uint8Array<ArrayBuffer> => new Uint8Array(1024 ** 2).fill(value)
    const outcomes: unknown[] = []
    for (const value of [1, 2, 3, 4]) outcomes.push(await codeOf(node.client.addBlob(blob(value))))
    expect([outcomes[0], outcomes.at(-1)]).toEqual(['resolved', 'storage-full'])
    const refused = node.client.addBlob(blob(5))
    await expect(refused).rejects.toMatchObject({ code: 'storage-full', status: 507, remedy: expect.stringContaining('api.totalBlobBytes') })
    // What it has already it need not keep twice.
    expect(await node.client.addBlob(blob(1))).toMatchObject({ bytes: 1024 ** 2 })
  })
})

test('a node that only computes takes no jobs, and one without IPFS no blobs', async () => {
  await using others = nodes()
  const other = await others.start('b', ['--compute-only', '--no-ipfs'])
  expect(await codeOf(other.client.submit(noop('publisher: { type: none }\n')))).toBe('not-requester')
  expect(await codeOf(other.client.addBlob(new Uint8Array(3)))).toBe('blobs-off')
  expect((await other.stop()).code).toBe(0)
}, 180_000)
