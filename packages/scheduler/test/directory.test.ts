import type { Announcement } from '@skrei/protocol'
import { virtualClock } from '@skrei/transport/memory'
import { describe, expect, test } from 'vitest'
import { createDirectory } from '../src/directory/directory.ts'
import { misfits, type Wanted } from '../src/directory/fit.ts'
import { rank } from '../src/directory/rank.ts'
import { sumUp } from '../src/directory/summary.ts'
import { seededRandom } from '../src/simulation/index.ts'

const announcement = (node: string, change: Partial<Announcement> = {}): Announcement => ({
  network: 'test',
  node,
  incarnation: { counter: 1, id: '0'.repeat(16) },
  counter: 1,
  issuedAt: 0,
  ttl: 1000,
  engines: [{ name: 'noop', version: '1' }],
  sources: ['inline'],
  publishers: ['ipfs'],
  capacity: { cpu: 1000, memory: 2 ** 30, disk: 2 ** 30 },
  free: { cpu: 1000, memory: 2 ** 30, disk: 2 ** 30 },
  devices: [],
  labels: {},
  ...change,
})

const wanted = (change: Partial<Wanted['task']['resources']> = {}, constraints: readonly string[] = []): Wanted => ({
  task: {
    specCid: 'b',
    engine: { type: 'noop' },
    env: {},
    outputs: [],
    resources: { cpu: 500, memory: 1024, disk: 1024, gpu: { count: 0 }, ...change },
    limits: { stdout: 1, stderr: 1, files: 1 },
    network: { mode: 'none' },
    timeout: 1000,
  },
  constraints,
  sources: ['inline'],
  publisher: 'ipfs',
})

const offer = (change: Partial<Announcement> = {}) => ({
  ...announcement('n', change),
  engines: (change.engines ?? [{ name: 'noop' }]).map(({ name }) => name),
})

describe('the directory', () => {
  test('keeps the newest of a node, forgets what was not renewed, and stays bounded', async () => {
    const clock = virtualClock()
    const directory = createDirectory({ clock, random: seededRandom(1) })
    directory.note(announcement('a', { counter: 2, labels: { v: 'new' } }))
    directory.note(announcement('a', { counter: 1, labels: { v: 'old' } }))
    directory.note(announcement('a', { incarnation: { counter: 2, id: '1'.repeat(16) }, counter: 1, labels: { v: 'restarted' } }))
    expect(directory.all().map(({ labels }) => labels)).toEqual([{ v: 'restarted' }])
    await clock.advance(1001)
    expect(directory.all()).toEqual([])
    for (let index = 0; index < 2000; index++) directory.note(announcement(`n${index}`))
    expect(directory.all()).toHaveLength(512)
  })

  test('samples at random, each node once, and only those accepted', () => {
    const directory = createDirectory({ clock: virtualClock(), random: seededRandom(2) })
    for (let index = 0; index < 100; index++) directory.note(announcement(`n${index}`, { labels: { even: String(index % 2 === 0) } }))
    const sample = directory.sample(20, ({ labels }) => labels['even'] === 'true').map(({ node }) => node)
    expect(new Set(sample).size).toBe(20)
    expect(sample.every((node) => Number(node.slice(1)) % 2 === 0)).toBe(true)
    expect(directory.sample(20, () => true).map(({ node }) => node)).not.toEqual(sample)
    expect(directory.sample(1000, () => true)).toHaveLength(100)
  })
})

test.each([
  [offer(), wanted(), []],
  [offer({ engines: [{ name: 'wasm', version: '1' }] }), wanted(), ['engine-unavailable']],
  [offer({ sources: [] }), wanted(), ['source-unsupported']],
  [offer({ publishers: ['local'] }), wanted(), ['publisher-unsupported']],
  [offer(), wanted({ cpu: 2000, memory: 2 ** 31 }), ['exceeds-node', 'exceeds-node']],
  [offer(), wanted({ gpu: { count: 1 } }), ['exceeds-node']],
  [offer({ labels: { region: 'us' } }), wanted({}, ['region in (eu, us)', '!spot']), []],
  [offer({ labels: { region: 'us', spot: 'yes' } }), wanted({}, ['region in (eu)', '!spot']), ['constraint', 'constraint']],
])('a node says all the reasons for which it could never run a task (%#)', (node, task, codes) => {
  expect(misfits(node, task).map(({ code }) => code)).toEqual(codes)
})

test('ranking puts nodes that failed last, preferences first, then free capacity', () => {
  const nodes = [
    announcement('failed'),
    announcement('full', { free: { cpu: 100, memory: 2 ** 30, disk: 2 ** 30 } }),
    announcement('free'),
    announcement('preferred', { labels: { tier: 'gold' }, free: { cpu: 0, memory: 0, disk: 0 } }),
  ]
  expect(rank(nodes, { ...wanted(), prefer: ['tier=gold'], failed: ['failed'] }).map(({ node }) => node)).toEqual(['preferred', 'free', 'full', 'failed'])
})

test('refusals are summed up in one sentence with numbers', () => {
  const engine = { code: 'engine-unavailable', detail: 'no engine docker' } as const
  const memory = { code: 'exceeds-node', resource: 'memory', wanted: 2 ** 31, available: 2 ** 29, detail: '' } as const
  const nodes = [...['a', 'b', 'c', 'd', 'e'].map((node) => ({ node, refusals: [engine] })), ...['f', 'g'].map((node) => ({ node, refusals: [memory] }))]
  expect(sumUp(nodes, 8)).toBe(
    '0 of 8 nodes could run this: 5 have no engine docker (engine-unavailable); 2 have 512 MiB of memory in all, 2 GiB asked (exceeds-node); 1 did not answer in time',
  )
  expect(sumUp([{ node: 'a', refusals: [{ code: 'busy', resource: 'cpu', wanted: 1500, available: 500, detail: '' }] }], 1)).toBe(
    '0 of 1 node could run this: 1 has 500m of cpu free, 1500m asked (busy)',
  )
  expect(sumUp([], 0)).toBe('no node is known that could run this')
})
