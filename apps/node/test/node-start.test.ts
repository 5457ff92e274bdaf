import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { runningNode } from '../src/node/api-file.ts'
import { namesIn } from './command-line.ts'
import { codeOf, nodes, noop, running } from './node-process.ts'

const filesOf = (home: string) => ({ apiFile: join(home, 'node/api.json'), nodeLock: join(home, 'node.lock') })

describe.concurrent('skrei node start', { timeout: 180_000 }, () => {
  test('says when it is ready and where, is found in its home while it runs, and ends with 0', async () => {
    await using all = nodes()
    const node = await all.start('a')
    const file = join(node.home, 'node/api.json')
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ url: node.api, nodeId: node.nodeId, pid: node.child.pid })
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(runningNode(filesOf(node.home))).toMatchObject({ url: node.api })
    expect(node.addresses[0]).toMatch(new RegExp(`^/ip4/127.0.0.1/tcp/\\d+/p2p/${node.nodeId}$`))
    expect(await node.client.health()).toEqual({ status: 'ready', nodeId: node.nodeId, version: expect.any(String) })
    const ended = await node.stop()
    expect([
      ended.code,
      ended.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).type),
    ]).toEqual([0, ['ready', 'draining', 'stopped']])
    expect(ended.stderr).not.toMatch(/error|\n\s+at /)
    expect(runningNode(filesOf(node.home))).toBeUndefined()
    all.clean('a')
  })

  test('a directory of the configuration that is not there is told at the start', async () => {
    await using all = nodes()
    const node = await all.start('a', ['--no-ipfs', '--allow-local-path', join(all.root, 'nowhere'), '--allow-local-path', all.root])
    const { code, stderr } = await node.stop()
    expect([code, stderr.match(/a directory of the configuration is not there.*/g)]).toEqual([0, [expect.stringContaining('nowhere')]])
  })

  test('a second one on the same home ends with 2, and the first goes on', async () => {
    await using all = nodes()
    const node = await all.start('a', ['--no-ipfs'])
    const second = await all.run('a', ['--no-ipfs'])
    expect([second.code, second.stdout]).toEqual([2, expect.stringContaining('"code":"duplicate-identity"')])
    expect((await node.client.health()).status).toBe('ready')
    expect(runningNode(filesOf(node.home))).toMatchObject({ pid: node.child.pid })
    expect((await node.stop()).code).toBe(0)
  })

  test('what a killed one left names no node, and does not hold up the next start', async () => {
    await using all = nodes()
    const node = await all.start('a', ['--no-ipfs'])
    await node.stop('SIGKILL')
    expect(namesIn(join(node.home, 'node'))).toContain('api.json')
    expect(runningNode(filesOf(node.home))).toBeUndefined()
    const next = await all.start('a', ['--no-ipfs'])
    expect(next.nodeId).toBe(node.nodeId)
    expect((await next.stop('SIGINT')).code).toBe(0)
    all.clean('a')
  })

  test('a running execution is waited for, and no new job is taken meanwhile', async () => {
    await using all = nodes()
    const node = await all.start('a', ['--no-ipfs'])
    const long = noop('publisher: { type: none }\n', 'duration: 8s')
    const { job } = await node.client.submit(long, { key: 'k' })
    await running(node.client, job.id)
    node.child.kill('SIGTERM')
    expect(JSON.parse(await node.line('"draining"'))).toEqual({ type: 'draining', executions: 1, kept: 0 })
    expect((await node.client.health()).status).toBe('draining')
    expect(await codeOf(node.client.submit(noop()))).toBe('draining')
    expect(await codeOf(node.client.submit(long, { key: 'other' }))).toBe('draining')
    // Whose answer was lost learns what became of it.
    expect(await node.client.submit(long, { key: 'k' })).toMatchObject({ created: false, job: { id: job.id } })
    expect((await node.ended).code).toBe(0)
    const next = await all.start('a', ['--no-ipfs'])
    expect((await next.client.finished(job.id)).state).toBe('completed')
    expect((await next.client.events(job.id)[Symbol.asyncIterator]().next()).value).toMatchObject({ type: 'history' })
    expect((await next.stop()).code).toBe(0)
    all.clean('a')
  })

  test('what still runs when the time to drain is over is taken up by the next start', async () => {
    await using all = nodes()
    const node = await all.start('a', ['--no-ipfs'], { SKREI_DRAIN: '100ms' })
    const { job } = await node.client.submit(noop('publisher: { type: none }\n', 'duration: 8s'))
    await running(node.client, job.id)
    expect((await node.stop()).code).toBe(0)
    const next = await all.start('a', ['--no-ipfs'])
    expect((await next.client.finished(job.id)).state).toBe('completed')
    await next.stop()
    all.clean('a')
  })

  test('a second signal ends at once, and nothing is lost', async () => {
    await using all = nodes()
    const node = await all.start('a', ['--no-ipfs'])
    const { job } = await node.client.submit(noop('publisher: { type: none }\n', 'duration: 8s'))
    await running(node.client, job.id)
    node.child.kill('SIGINT')
    await node.line('"draining"')
    node.child.kill('SIGINT')
    expect((await node.ended).code).toBe(130)
    expect(namesIn(join(node.home, 'node'))).not.toContain('api.json')
    const next = await all.start('a', ['--no-ipfs'])
    expect((await next.client.finished(job.id)).state).toBe('completed')
    await next.stop()
    all.clean('a')
  })
})

describe.concurrent('what cannot be started is told, with exit code 2', { timeout: 180_000 }, () => {
  test.each([
    ['a key of the file', ['--config', 'wrong.yaml'], {}, 'unknown-key', /wrong\.yaml:1:1: .*did you mean `network`/],
    ['a variable', [], { SKREI_DRAIN: 'x' }, 'bad-duration', /SKREI_DRAIN/],
    ['a flag', ['--listen', 'here'], {}, 'bad-value', /--listen/],
    ['an API for everybody', ['--api-host', '0.0.0.0'], {}, 'api-exposed', /--api-host/],
    ['an address of another machine', ['--listen', '/ip4/192.0.2.1/tcp/0'], {}, 'address-unusable', /192\.0\.2\.1/],
    ['an unknown flag', ['--lissen', 'x'], {}, 'usage', /--listen/],
    ['two roles alone', ['--requester-only', '--compute-only'], {}, 'usage', /compute-only/],
  ])('%s', async (_, args, environment, code, text) => {
    await using all = nodes()
    writeFileSync(join(all.root, 'wrong.yaml'), 'netwrok: a\n')
    const ended = await all.run('a', args, environment)
    expect([ended.code, JSON.parse(ended.stdout.trim())]).toMatchObject([2, { type: 'result', error: { code } }])
    expect(ended.stderr).toMatch(text)
    expect(ended.stderr).not.toMatch(/\n\s+at /)
  })

  test('an address that another program has, without the stack of the library that found it', async () => {
    await using all = nodes()
    const taken = createServer()
    await once(taken.listen(0, '127.0.0.1'), 'listening')
    try {
      const { port } = taken.address() as AddressInfo
      const ended = await all.run('a', ['--listen', `/ip4/127.0.0.1/tcp/${port}`])
      expect([ended.code, JSON.parse(ended.stdout.trim())]).toMatchObject([
        2,
        { error: { code: 'address-unusable', message: `other nodes cannot reach this one: it cannot listen on /ip4/127.0.0.1/tcp/${port}: EADDRINUSE` } },
      ])
    } finally {
      taken.close()
    }
  })
})
