import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { ApiClient, LogChunk } from '@skrei/api/client'
import { describe, expect, test, vi } from 'vitest'
import { bytesOf, type Nodes, nodes, noop, type RunningNode, running } from './node-process.ts'

const probe = readFileSync(join(import.meta.dirname, 'fixtures/probe.wasm'))

/** What a node in a test does not wait for: a peer's announcement comes at once. */
const quick = { SKREI_LOG_LEVEL: 'warn' }

/** A requester that runs nothing, and a node that only computes, connected. */
const pair = async (all: Nodes, args: readonly string[] = []): Promise<{ readonly requester: RunningNode; readonly compute: RunningNode }> => {
  const compute = await all.start('compute', ['--compute-only', ...args], quick)
  const requester = await all.start('requester', ['--requester-only', '--peer', compute.addresses[0], ...args], quick)
  return { requester, compute }
}

const textOf = async (chunks: AsyncIterable<LogChunk>): Promise<string> => {
  let text = ''
  for await (const { bytes } of chunks) text += Buffer.from(bytes).toString()
  return text
}

const ended = async (client: ApiClient, job: string): Promise<Awaited<ReturnType<ApiClient['finished']>>> => {
  const { job: submitted } = await client.submit(job)
  return await client.finished(submitted.id)
}

describe.concurrent('two nodes over TCP', { timeout: 180_000 }, () => {
  test('a job is submitted to one and runs on the other, with its logs and its result at the first', async () => {
    await using all = nodes()
    const { requester, compute } = await pair(all)
    const { cid } = await requester.client.addBlob(new Uint8Array(probe))
    const tree = await requester.client.addTree([
      { path: 'a.txt', size: 5, content: new TextEncoder().encode('alpha') },
      { path: 'b.txt', size: 4, content: new TextEncoder().encode('beta') },
    ])
    const job = `apiVersion: skrei/v1
engine: { type: wasm, module: { type: ipfs, cid: ${cid} }, args: [sizes, /inputs, /outputs/sizes.txt] }
inputs: [{ source: { type: ipfs, cid: ${tree.cid} }, path: /inputs }]
outputs: [{ name: result, path: /outputs }]
`
    const done = await ended(requester.client, job)
    expect(done).toMatchObject({ state: 'completed', shards: { total: 1, completed: 1 } })
    const [shard] = (await requester.client.shards(done.id)).shards
    expect(shard?.node).toBe(compute.nodeId)
    const file = await requester.client.resultFile(done.id, 'shards/0/outputs/result/sizes.txt')
    expect((await bytesOf(file.content)).toString()).toMatch(/^(a.txt 5\nb.txt 4|b.txt 4\na.txt 5)\n$/)
    const shown = await ended(requester.client, `apiVersion: skrei/v1\nengine: { type: wasm, module: { type: ipfs, cid: ${cid} }, args: [show, hello] }\n`)
    expect(await textOf(requester.client.logs(shown.id))).toContain('argument hello')
    // The requester settles with it a moment after the job has ended.
    await vi.waitFor(async () => expect((await compute.client.node()).standing).toMatchObject({ executions: 0, jobs: { open: 0 } }), { timeout: 30_000 })
    for (const node of [requester, compute]) expect((await node.stop()).code).toBe(0)
    for (const name of ['requester', 'compute']) all.clean(name)
  })

  test('each sees the other as a peer and as a node', async () => {
    await using all = nodes()
    const { requester, compute } = await pair(all, ['--no-ipfs'])
    expect((await ended(requester.client, noop('publisher: { type: none }\n'))).state).toBe('completed')
    expect(await requester.client.peers()).toMatchObject([
      { node: compute.nodeId, connected: true, direction: 'outbound', addresses: [expect.stringContaining(compute.nodeId)] },
    ])
    expect(await compute.client.peers()).toMatchObject([{ node: requester.nodeId, connected: true, direction: 'inbound' }])
    expect((await requester.client.nodes()).map(({ node }) => node)).toContain(compute.nodeId)
    expect(await requester.client.node()).toMatchObject({ roles: ['requester'], engines: [] })
    expect(await compute.client.node()).toMatchObject({ roles: ['compute'], publishers: ['none'] })
  })

  test('a compute node that is restarted in the middle, and a requester that is, lose no job', async () => {
    await using all = nodes()
    const { requester, compute } = await pair(all, ['--no-ipfs'])
    const [, , , , port] = compute.addresses[0].split('/')
    const first = await requester.client.submit(noop('publisher: { type: none }\nretry: { attempts: 5 }\n', 'duration: 4s'))
    await running(requester.client, first.job.id)
    await compute.stop('SIGKILL')
    const again = await all.start('compute', ['--compute-only', '--no-ipfs', '--listen', `/ip4/127.0.0.1/tcp/${port}`], quick)
    expect(again.nodeId).toBe(compute.nodeId)
    expect((await requester.client.finished(first.job.id)).state).toBe('completed')

    const second = await requester.client.submit(noop('publisher: { type: none }\n', 'duration: 4s'), { key: 'once' })
    await running(requester.client, second.job.id)
    await requester.stop('SIGKILL')
    const back = await all.start('requester', ['--requester-only', '--no-ipfs', '--peer', again.addresses[0]], quick)
    expect((await back.client.finished(second.job.id)).state).toBe('completed')
    expect(await back.client.submit(noop('publisher: { type: none }\n', 'duration: 4s'), { key: 'once' })).toMatchObject({
      created: false,
      job: { id: second.job.id },
    })
    expect((await back.client.jobs()).jobs.map(({ id }) => id)).toEqual([second.job.id, first.job.id])
    for (const node of [back, again]) expect((await node.stop()).code).toBe(0)
    for (const name of ['requester', 'compute']) all.clean(name)
  })

  test('a node that is killed and started again is found by nodes and clients that name it: port 0 is the same, while it is free', async () => {
    await using all = nodes()
    const { requester, compute } = await pair(all, ['--no-ipfs'])
    await compute.stop('SIGKILL')
    const back = await all.start('compute', ['--compute-only', '--no-ipfs'], quick)
    expect([back.addresses, back.api]).toEqual([compute.addresses, compute.api])
    expect((await ended(requester.client, noop('publisher: { type: none }\n'))).state).toBe('completed')
    await back.stop('SIGKILL')
    const [, , , , port] = back.addresses[0].split('/')
    await using server = createServer((socket) => void socket.destroy())
    await once(server.listen(Number(port), '127.0.0.1'), 'listening')
    await using other = createServer((socket) => void socket.destroy())
    await once(other.listen(Number(new URL(back.api).port), '127.0.0.1'), 'listening')
    const moved = await all.start('compute', ['--compute-only', '--no-ipfs'], quick)
    expect(moved.addresses).not.toEqual(back.addresses)
    expect(moved.api).not.toBe(back.api)
    const over = await moved.stop()
    expect([over.code, over.stderr]).toEqual([0, expect.stringContaining('the port of the last start is not free')])
    expect(over.stderr).toContain('the port of the API at the last start is not free')
  })

  test('of a home and its copy, the one that started first is refused by its peers and ends with 2', async () => {
    await using all = nodes()
    // Of two with one key, that is found out which still says that it lives well after the other has come.
    const often = { ...quick, SKREI_SETTINGS_LEASE: '4s', SKREI_SETTINGS_HEARTBEAT: '200ms' }
    const peer = await all.start('peer', ['--compute-only', '--no-ipfs'], often)
    const args = ['--requester-only', '--no-ipfs', '--peer', peer.addresses[0]]
    await (await all.start('first', args, often)).stop()
    all.copy('first', 'copy')
    const first = await all.start('first', args, often)
    // For as long as the other takes to come: the first must have something to say then.
    const long = noop('publisher: { type: none }\n', 'duration: 60s')
    await running(first.client, (await first.client.submit(long)).job.id)
    const copy = await all.start('copy', args, often)
    expect(copy.nodeId).toBe(first.nodeId)
    await running(copy.client, (await copy.client.submit(long)).job.id)
    const over = await first.ended
    expect([over.code, over.stdout]).toEqual([2, expect.stringContaining('"code":"duplicate-identity"')])
    expect((await copy.client.health()).status).toBe('ready')
    await Promise.all([copy.stop('SIGKILL'), peer.stop('SIGKILL')])
  })

  test('of a home and its copy that have nothing to do, the one that started first learns of the other and ends with 2', async () => {
    await using all = nodes()
    const often = { ...quick, SKREI_SETTINGS_ANNOUNCEMENT_TTL: '3s' }
    const peer = await all.start('peer', ['--no-ipfs'], often)
    const args = ['--no-ipfs', '--peer', peer.addresses[0]]
    await (await all.start('first', args, often)).stop()
    all.copy('first', 'copy')
    const first = await all.start('first', args, often)
    const copy = await all.start('copy', args, often)
    const over = await first.ended
    expect([over.code, over.stdout]).toEqual([2, expect.stringContaining('"code":"duplicate-identity"')])
    expect((await copy.client.health()).status).toBe('ready')
    await copy.stop('SIGKILL')
  })
})
