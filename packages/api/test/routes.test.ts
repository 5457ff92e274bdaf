import { readJob, specCid } from '@skrei/job-spec'
import { unpackTar } from 'modern-tar'
import { expect, test } from 'vitest'
import { endpoints, type RouteName } from '../src/endpoints.ts'
import { resultFile } from './fake-node.ts'
import { bytesOf, codeOf, job, served, text } from './served.ts'

const encoded = (value: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(value)

test('every route answers the client with what the node says', async () => {
  const { node, server, client, faults } = await served()
  const asked = new Set<RouteName>()
  const seen = <T>(name: RouteName, value: T): T => {
    asked.add(name)
    return value
  }

  expect(seen('health', await client.health())).toEqual({ status: 'ready', nodeId: 'node-1', version: '1.2.3' })
  expect(seen('node', await client.node()).engines).toEqual([{ name: 'noop', version: '1' }])
  expect(seen('nodes', await client.nodes())).toEqual([])
  expect(seen('peers', await client.peers())).toEqual([{ node: 'node-2', connected: true, addresses: ['/ip4/127.0.0.1/tcp/1'] }])
  expect(seen('metrics', await client.metrics())).toBe('# TYPE up gauge\nup 1\n')

  const read = readJob(job, { file: 'job.yaml' })
  const cid = read.ok && specCid(read.spec)
  expect(seen('validate', await client.validate(job))).toEqual({ specCid: cid, warnings: [] })
  expect(seen('plan', await client.plan(job))).toMatchObject({ specCid: cid, outcome: 'runs' })

  const { job: first, created } = seen('submit', await client.submit(job))
  expect({ id: first.id, state: first.state, created }).toEqual({ id: 'job-0001', state: 'running', created: true })
  await client.submit(job)
  await client.submit(JSON.stringify({ apiVersion: 'skrei/v1', engine: { type: 'noop' }, resources: { cpu: '500m' } }))
  const page = seen('jobs', await client.jobs({ limit: 2 }))
  expect(page.jobs.map(({ id }) => id)).toEqual(['job-0003', 'job-0002'])
  expect(await client.jobs({ limit: 2, after: page.next ?? '' })).toEqual({ jobs: [first] })
  expect(await client.jobs({ state: 'failed' })).toEqual({ jobs: [] })
  expect(seen('job', await client.job(first.id))).toEqual(first)
  expect(seen('spec', await client.spec('job-0003'))).toEqual({ apiVersion: 'skrei/v1', engine: { type: 'noop' }, resources: { cpu: '500m' } })
  const shards = seen('shards', await client.shards(first.id, { limit: 2 }))
  expect(shards).toMatchObject({ shards: [{ index: 0 }, { index: 1 }], next: 1 })
  expect(await client.shards(first.id, { after: shards.next ?? 0 })).toEqual({ shards: [{ index: 2, state: 'running', open: true, executions: [] }] })

  const past = []
  for await (const event of client.events(first.id, { follow: false })) past.push(event)
  expect(past).toMatchObject([{ type: 'history', item: { to: 'running' } }])
  seen('stop', await client.stop(first.id))
  expect((await client.finished(first.id)).state).toBe('cancelled')
  expect(seen('result', await client.result(first.id))).toMatchObject({ jobId: first.id, state: 'cancelled' })
  const history = []
  for await (const event of seen('events', client.events(first.id))) history.push(event)
  expect(history.map((event) => event.type === 'history' && 'to' in event.item && event.item.to)).toEqual(['running', 'cancelled'])

  node.logs.push({ execution: 'e:1', node: 'node-1', stream: 'stdout', offset: 0, bytes: encoded('hé') })
  node.logs.push({ execution: 'e:1', node: 'node-1', stream: 'stderr', offset: 0, bytes: Uint8Array.of(0xff, 0xfe) })
  const chunks = []
  for await (const chunk of seen('logs', client.logs(first.id))) chunks.push(chunk)
  expect(chunks.map((chunk) => ({ ...chunk, bytes: [...chunk.bytes] }))).toEqual(node.logs.map((chunk) => ({ ...chunk, bytes: [...chunk.bytes] })))
  const raw = await fetch(`${server.url}/api/v1/jobs/${first.id}/logs?stream=stderr`)
  expect([...new Uint8Array(await raw.arrayBuffer())]).toEqual([0xff, 0xfe])

  const names = ['out/a b.txt', 'out/%2e%2e?#.txt', 'stdout', `deep/${'x'.repeat(150)}/ü.txt`]
  for (const name of names) node.files.push(resultFile(name, encoded(`content of ${name}`)))
  node.files.push(resultFile('empty', new Uint8Array(0)))
  for (const name of names) {
    const file = seen('resultFile', await client.resultFile(first.id, name))
    const content = text(await bytesOf(file.content))
    expect(content).toBe(`content of ${name}`)
    expect(file.size).toBe(encoded(content).length)
  }
  expect(text(await bytesOf((await client.resultFile(first.id, 'stdout', { from: 11 })).content))).toBe('stdout')
  expect((await bytesOf((await client.resultFile(first.id, 'empty')).content)).length).toBe(0)
  const archive = await unpackTar(new Uint8Array(await bytesOf(seen('archive', client.archive(first.id)))), { strict: true })
  expect(archive.map(({ header, data }) => [header.name, text(data ?? new Uint8Array(0))])).toEqual([
    ...names.map((name) => [name, `content of ${name}`]),
    ['empty', ''],
  ])

  expect(seen('blobs', await client.addBlob(encoded('blob')))).toEqual({ cid: 'cid-of-file', bytes: 4 })
  const tree = await client.addTree([
    { path: 'a/b.txt', size: 3, content: encoded('abc') },
    { path: `${'long/'.repeat(40)}c`, size: 0, content: encoded('') },
  ])
  expect(tree).toEqual({ cid: 'cid-of-tree', bytes: 3 })
  expect(node.kept.map(({ path, bytes }) => [path, text(bytes)])).toEqual([
    ['', 'blob'],
    ['a/b.txt', 'abc'],
    [`${'long/'.repeat(40)}c`, ''],
  ])

  const document = (await (await fetch(`${server.url}/openapi.json`)).json()) as { readonly openapi: string }
  expect(seen('openApi', document.openapi)).toBe('3.1.0')
  expect([...asked].toSorted()).toEqual(Object.keys(endpoints).toSorted())
  expect(faults).toEqual([])
})

test('the same submission with the same key is one job; another spec with it is refused', async () => {
  const { client } = await served()
  const first = await client.submit(job, { key: 'k' })
  expect(await client.submit(job, { key: 'k' })).toEqual({ job: first.job, created: false })
  await expect(client.submit(job.replace('hello', 'other'), { key: 'k' })).rejects.toMatchObject({ code: 'key-reused', status: 409 })
  expect((await client.jobs()).jobs).toHaveLength(1)
})

test('the answer to a submission says where the job is', async () => {
  const { server } = await served()
  const response = await fetch(`${server.url}/api/v1/jobs`, { method: 'POST', body: job, headers: { 'content-type': 'application/yaml' } })
  expect([response.status, response.headers.get('location')]).toEqual([201, '/api/v1/jobs/job-0001'])
  expect((await fetch(`${server.url}${response.headers.get('location')}`)).status).toBe(200)
})

test('who waits is answered when the job ends, and after the time that was asked for', async () => {
  const { node, client } = await served()
  const { job: first } = await client.submit(job)
  const waiting = client.job(first.id, { wait: 60 })
  node.end(first.id)
  expect((await waiting).state).toBe('completed')
  const { job: second } = await client.submit(job, { wait: 1 })
  expect(second.state).toBe('running')
})

test('of a job that was accepted its id is told, whatever happens to the wait for it', async () => {
  const { node, client, faults } = await served()
  const error = new Error('the wait failed')
  node.override({ finished: () => Promise.reject(error) })
  expect(await client.submit(job, { wait: 60 })).toMatchObject({ job: { id: 'job-0001', state: 'running' }, created: true })
  expect(faults).toEqual([error])
})

test('a unique beginning of at least 4 characters names a job', async () => {
  const { client } = await served()
  await client.submit(job)
  expect((await client.job('job-0')).id).toBe('job-0001')
  await expect(client.job('job')).rejects.toMatchObject({ code: 'job-not-found', status: 404 })
  await client.submit(job)
  await expect(client.job('job-0')).rejects.toMatchObject({ code: 'id-ambiguous', status: 409, message: expect.stringContaining('2 jobs') })
  await client.stop('job-0002')
  expect((await client.job('job-0002')).state).toBe('cancelled')
})

test('ranges of a file', async () => {
  const { node, client, server } = await served()
  const { job: first } = await client.submit(job)
  node.end(first.id)
  node.files.push(resultFile('f', encoded('0123456789')))
  const get = async (range: string) => {
    const response = await fetch(`${server.url}/api/v1/jobs/${first.id}/results/f`, { headers: { range } })
    const body = await response.text()
    return [response.status, response.headers.get('content-range'), response.ok ? body : JSON.parse(body).error.code]
  }
  expect(await get('bytes=2-4')).toEqual([206, 'bytes 2-4/10', '234'])
  expect(await get('bytes=8-99')).toEqual([206, 'bytes 8-9/10', '89'])
  expect(await get('bytes=-3')).toEqual([206, 'bytes 7-9/10', '789'])
  expect(await get('bytes=10-')).toEqual([416, 'bytes */10', 'range-not-satisfiable'])
  expect(await get('bytes=-0')).toEqual([416, 'bytes */10', 'range-not-satisfiable'])
  for (const other of ['bytes=0-1,3-4', 'lines=1-2', 'bytes=5-2', 'bytes=-']) expect(await get(other)).toEqual([200, null, '0123456789'])
})

test('a directory is no file, and is not walked through to say so', async () => {
  const it = await served()
  await it.client.submit(job)
  it.node.end('job-0001')
  let walked = 0
  it.node.override({
    files: async function* () {
      for (let index = 0; index < 1000; index++) {
        walked++
        yield { path: `many/${index}`, size: 1, content: async function* () {} }
      }
    },
  })
  expect(await codeOf(it.client.resultFile('job-0001', 'many'))).toBe('file-not-found')
  expect(walked).toBe(1)
})

test('HEAD is answered like GET, without what it would hold', async () => {
  const { node, client, server } = await served()
  const { job: first } = await client.submit(job)
  node.end(first.id)
  node.files.push(resultFile('f', encoded('0123456789')))
  for (const path of ['/results/f', '/archive', '/events', '/logs', '']) {
    const response = await fetch(`${server.url}/api/v1/jobs/${first.id}${path}`, { method: 'HEAD' })
    expect([response.status, await response.text()]).toEqual([200, ''])
    if (path === '/results/f') expect(response.headers.get('content-length')).toBe('10')
  }
  expect(node.listening()).toBe(0)
})
