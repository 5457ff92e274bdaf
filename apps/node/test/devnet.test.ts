import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { apiClient } from '@skrei/api/client'
import { describe, expect, test } from 'vitest'
import { removeHomes } from '../src/devnet/remove-homes.ts'
import { type JsonEvent, main, namesIn, place, type Started } from './command-line.ts'

// A whole network on this machine: it works, and however it ends, nothing of it is left.

const timeout = 240_000
const job =
  '{"apiVersion":"skrei/v1","engine":{"type":"noop","stdout":"hello\\n"},"resources":{"cpu":"50m","memory":"16Mi","disk":"1Mi"},"sharding":{"count":6}}'

const eventsOf = (started: Started): readonly JsonEvent[] =>
  started
    .output()
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as JsonEvent)
const nodesOf = (started: Started): readonly { readonly pid: number; readonly api: string; readonly home: string; readonly nodeId: string }[] =>
  eventsOf(started).filter(({ type }) => type === 'node') as never
const ready = (started: Started): Promise<string> => started.line((line) => line.includes('"type":"ready"'))
const lives = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
const gone = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 50))
}

test('what lies beside the homes of a network stays, and its processes are started by `skrei devnet` alone', { timeout }, async () => {
  using here = place()
  for (const name of ['node-0', 'node-1', 'mine', 'node-x']) mkdirSync(join(here.jobs, 'root', name), { recursive: true })
  const { code, stderr } = await here.skrei('devnet-process', '--temporary', join(here.jobs, 'root/mine'))
  expect([code, stderr]).toEqual([2, expect.stringContaining('devnet-process')])
  removeHomes(join(here.jobs, 'root'))
  expect(namesIn(join(here.jobs, 'root')).toSorted()).toEqual(['mine', 'node-x'])
})

describe.concurrent('skrei devnet', { timeout }, () => {
  test('starts nodes that know each other and share a job; the first signal ends all of them', async () => {
    using here = place()
    const devnet = here.start('devnet', '--nodes', '3', '--json')
    await ready(devnet)
    const nodes = nodesOf(devnet)
    expect(new Set(nodes.map(({ pid }) => pid)).size).toBe(3)
    const [first, second] = nodes
    const client = apiClient({ url: second?.api ?? '' })
    const { job: ended } = await client.submit(job, { wait: 60 })
    expect(ended.state).toBe('completed')
    expect((await apiClient({ url: first?.api ?? '' }).nodes()).map(({ node }) => node).toSorted()).toEqual(nodes.map(({ nodeId }) => nodeId).toSorted())
    // Together they promise no more than the machine has.
    const standings = await Promise.all(nodes.map(({ api }) => apiClient({ url: api }).node()))
    const cpu = standings.reduce((sum, { standing }) => sum + (standing.capacity?.cpu ?? 0), 0)
    expect(cpu).toBeLessThanOrEqual(navigator.hardwareConcurrency * 1000)
    devnet.child.kill('SIGINT')
    expect((await devnet.ended).code).toBe(0)
    expect(eventsOf(devnet).at(-1)).toEqual({ type: 'stopped' })
    expect(nodes.filter(({ pid }) => lives(pid))).toEqual([])
    here.clean()
  })

  test('tells that a node died, and goes on; several nodes may share a process; flags say what each of them has', async () => {
    using here = place()
    const devnet = here.start('devnet', '--nodes', '4', '--per-process', '2', '--cpu', '125m', '--memory', '64Mi', '--no-ipfs', '--json')
    await ready(devnet)
    const nodes = nodesOf(devnet)
    expect(new Set(nodes.map(({ pid }) => pid)).size).toBe(2)
    const { standing, publishers } = await apiClient({ url: nodes[0]?.api ?? '' }).node()
    expect(standing.capacity).toMatchObject({ cpu: 125, memory: 64 * 2 ** 20 })
    expect(publishers).toEqual(['none'])
    process.kill(nodes[3]?.pid ?? 0, 'SIGKILL')
    const ended = JSON.parse(await devnet.line((line) => line.includes('"type":"ended"'))) as JsonEvent
    expect(ended).toMatchObject({ pid: nodes[3]?.pid, nodes: ['node-2', 'node-3'], how: 'SIGKILL' })
    expect((await apiClient({ url: nodes[0]?.api ?? '' }).health()).status).toBe('ready')
    devnet.child.kill('SIGTERM')
    expect((await devnet.ended).code).toBe(0)
    here.clean()
  })

  test('killed with -9, and one of its nodes before, it leaves no process and no file', async () => {
    using here = place()
    const devnet = here.start('devnet', '--nodes', '3', '--json')
    await ready(devnet)
    const nodes = nodesOf(devnet)
    process.kill(nodes[1]?.pid ?? 0, 'SIGKILL')
    await devnet.line((line) => line.includes('"type":"ended"'))
    devnet.child.kill('SIGKILL')
    await devnet.ended
    await gone(() => !nodes.some(({ pid }) => lives(pid)))
    here.clean()
  })

  test('killed with -9 while a process of it starts, it leaves none either', async () => {
    using here = place()
    const home = join(here.jobs, 'root/node-0')
    mkdirSync(home, { recursive: true })
    // Nobody of the process's own listens then: this stands for the load of its code.
    const preload = `--import=data:text/javascript,${encodeURIComponent("await new Promise((heard) => process.once('disconnect', heard))")}`
    const execArgv = ['--conditions=@skrei/source', preload]
    const child = fork(main, ['devnet-process', '--temporary', home], { execArgv, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
    const ended = once(child, 'exit')
    child.disconnect()
    expect(await ended).toEqual([0, null])
    expect(existsSync(join(here.jobs, 'root'))).toBe(false)
  })

  test('with --home the homes stay, and a node of it is started again by hand', async () => {
    using here = place()
    const kept = join(here.jobs, 'network')
    const devnet = here.start('devnet', '--nodes', '2', '--home', 'network', '--json')
    await ready(devnet)
    const [first, second] = nodesOf(devnet)
    process.kill(first?.pid ?? 0, 'SIGKILL')
    await devnet.line((line) => line.includes('"type":"ended"'))
    const again = here.startWith({ SKREI_HOME: join(kept, 'node-0') }, 'node', 'start', '--json')
    const event = JSON.parse(await ready(again)) as JsonEvent
    expect(event).toMatchObject({ nodeId: first?.nodeId, network: 'devnet' })
    // The others find it where it was.
    const seen = apiClient({ url: second?.api ?? '' })
    while (!(await seen.peers()).some(({ node, connected }) => node === first?.nodeId && connected));
    again.child.kill('SIGTERM')
    await again.ended
    devnet.child.kill('SIGINT')
    expect((await devnet.ended).code).toBe(0)
    expect(namesIn(kept).toSorted()).toEqual(['node-0', 'node-1'])
    expect(existsSync(join(kept, 'node-1/node/state.sqlite'))).toBe(true)
  })

  test.each([
    ['--nodes', '0'],
    ['--nodes', '1001'],
    ['--per-process', 'two'],
    ['--cpu', 'much'],
  ])('%s %s is refused', async (flag, value) => {
    using here = place()
    const ended = await here.skrei('devnet', flag, value)
    expect(ended.code).toBe(2)
    expect(ended.stderr).toMatch(new RegExp(`^error usage: ${flag}`))
    here.clean(ended)
  })
})
