import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { dockerodeClient } from '../src/dockerode-client.ts'
import { engineStatus } from '../src/engine-client.ts'

// What engines answer that the one of the other tests does not: bodies on a socket that were written by hand, after the Engine API's description. None was recorded.
let root = ''
let answers: Record<string, { readonly status?: number; readonly body: string }> = {}
let asked: string[] = []
const server = createServer((request, answer) => {
  asked.push(`${request.method} ${request.url}`)
  const found = answers[(request.url ?? '').split('?')[0] ?? '']
  answer.writeHead(found?.status ?? (found === undefined ? 404 : 200), { 'content-type': 'application/json' })
  answer.end(found?.body ?? '{"message":"no such thing"}')
})
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'skrei-socket-'))
  answers = {}
  asked = []
  await new Promise<void>((resolve) => server.listen(join(root, 'docker.sock'), resolve))
})
afterEach(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await rm(root, { recursive: true })
})
const client = () => dockerodeClient(join(root, 'docker.sock'))

test('counters of version 2 of cgroups: small names, no peak', async () => {
  // As the Engine API (1.50) describes an answer on cgroup v2: `usage` without `max_usage`, `op` in small letters; cut to what matters. Not seen on a real engine.
  answers['/containers/x/stats'] = {
    body: JSON.stringify({
      pids_stats: { current: 3, limit: 512 },
      blkio_stats: {
        io_service_bytes_recursive: [
          { major: 259, minor: 0, op: 'read', value: 4096 },
          { major: 259, minor: 0, op: 'write', value: 8192 },
          { major: 252, minor: 0, op: 'read', value: 1 },
        ],
        io_serviced_recursive: null,
      },
      cpu_stats: { cpu_usage: { total_usage: 12_500_000, usage_in_kernelmode: 5_000_000, usage_in_usermode: 7_500_000 }, online_cpus: 8 },
      memory_stats: { usage: 1_000_000, stats: { anon: 500_000, file: 400_000 }, limit: 268_435_456 },
      networks: { eth0: { rx_bytes: 10, tx_bytes: 20 }, eth1: { rx_bytes: 1, tx_bytes: 2 } },
    }),
  }
  expect(await client().counters('x')).toEqual({
    cpuMs: 12.5,
    processes: 3,
    memory: 1_000_000,
    blockReadBytes: 4097,
    blockWriteBytes: 8192,
    networkReceivedBytes: 11,
    networkSentBytes: 22,
  })
})

test('a container that has ended has no counters, nor one that is not there', async () => {
  answers['/containers/x/stats'] = {
    body: JSON.stringify({ pids_stats: {}, cpu_stats: { cpu_usage: { total_usage: 0 } }, memory_stats: {}, blkio_stats: { io_service_bytes_recursive: null } }),
  }
  expect(await client().counters('x')).toBeUndefined()
  expect(await client().counters('y')).toBeUndefined()
})

test('a pull that fails in the middle of its answer fails', async () => {
  answers['/images/create'] = { body: '{"status":"Pulling","id":"a"}\r\n{"errorDetail":{"message":"manifest unknown"},"error":"manifest unknown"}\r\n' }
  const pull = async () => {
    for await (const _ of client().pull('registry.example/x:1', { username: 'u', password: 'p', serveraddress: 'registry.example' }));
  }
  await expect(pull()).rejects.toThrow('manifest unknown')
  expect(asked).toEqual([`POST /images/create?fromImage=${encodeURIComponent('registry.example/x:1')}&`])
})

test('an answer that is an error has its status, an engine that does not answer has none, and both say where', async () => {
  answers['/containers/create'] = { status: 409, body: '{"message":"Conflict. The container name is in use"}' }
  const taken = await client()
    .create('x', {})
    .catch((error: unknown) => error)
  expect([engineStatus(taken), String(taken)]).toEqual([409, 'EngineError: Conflict. The container name is in use'])
  const gone = await dockerodeClient(join(root, 'nothing.sock'))
    .version()
    .catch((error: unknown) => error)
  expect(engineStatus(gone)).toBeUndefined()
  expect(String(gone)).toContain(join(root, 'nothing.sock'))
})

test('what is aborted rejects with its reason', async () => {
  const reason = new Error('given up')
  await expect(client().version({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  expect(asked).toEqual([])
})

test('names are parts of a path and nothing more', async () => {
  await client().inspect('../../images/x?y=1#z')
  await client().image('registry.example:5000/a/b@sha256:c')
  expect(asked).toEqual([`GET /containers/${encodeURIComponent('../../images/x?y=1#z')}/json`, `GET /images/registry.example%3A5000/a/b%40sha256%3Ac/json`])
})
