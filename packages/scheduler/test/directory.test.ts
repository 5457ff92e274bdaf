import type { Announcement } from '@skrei/protocol'
import { virtualClock } from '@skrei/transport/memory'
import { describe, expect, test } from 'vitest'
import { createDirectory, perSource } from '../src/directory/directory.ts'
import { misfits } from '../src/directory/fit.ts'
import { sumUp } from '../src/directory/summary.ts'
import { seededRandom } from '../src/simulation/index.ts'
import { announcement, wanted } from './announcement.ts'

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
    for (let index = 0; index < 2000; index++) directory.note(announcement(`n${index}`), { bytes: new Uint8Array(1), via: `n${index}` })
    expect(directory.all()).toHaveLength(512)
  })

  test('samples at random, each node once, and of one engine where one is asked for', () => {
    const directory = createDirectory({ clock: virtualClock(), random: seededRandom(2) })
    const engines = (index: number) => [{ name: index % 2 === 0 ? 'even' : 'odd', version: '1' }]
    for (let index = 0; index < 100; index++) directory.note(announcement(`n${index}`, { engines: engines(index) }))
    const sample = directory.sample(20, 'even').map(({ node }) => node)
    expect(new Set(sample).size).toBe(20)
    expect(sample.every((node) => Number(node.slice(1)) % 2 === 0)).toBe(true)
    expect(directory.sample(20, 'even').map(({ node }) => node)).not.toEqual(sample)
    expect(directory.sample(1000)).toHaveLength(100)
    expect([directory.count('even'), directory.count('none'), directory.sample(5, 'none')]).toEqual([50, 0, []])
    directory.note(announcement('n0', { counter: 2, engines: engines(1) }))
    expect([directory.count('even'), directory.count('odd')]).toEqual([49, 51])
  })

  test('is another one when a node comes, goes or changes, and not when one is renewed', async () => {
    const clock = virtualClock()
    const directory = createDirectory({ clock, random: seededRandom(3) })
    directory.note(announcement('a', { ttl: 5000 }))
    const versions = [directory.version]
    directory.note(announcement('a', { ttl: 5000, counter: 2, free: { cpu: 0, memory: 0, disk: 0 } }))
    expect(directory.version).toBe(versions[0])
    directory.note(announcement('a', { ttl: 5000, counter: 3, labels: { now: 'other' } }))
    versions.push(directory.version)
    directory.note(announcement('b', { ttl: 1000 }))
    versions.push(directory.version)
    await clock.advance(2001)
    versions.push(directory.version)
    expect(new Set(versions).size).toBe(4)
    expect([directory.size, directory.get('b')]).toEqual([1, undefined])
  })

  test('a peer that brings made-up nodes has a few places, renewing what others brought gains it none, and who spoke for itself stays', () => {
    const directory = createDirectory({ clock: virtualClock(), random: seededRandom(4) })
    const bytes = new Uint8Array(100)
    const origin = (node: string): string => (Number(node.slice(1)) < 300 ? node : `peer${Number(node.slice(1)) % 8}`)
    for (let index = 0; index < 512; index++) directory.note(announcement(`n${index}`), { bytes, via: origin(`n${index}`) })
    for (let index = 0; index < 512; index++) directory.note(announcement(`n${index}`, { counter: 2 }), { bytes, via: 'liar' })
    for (let index = 0; index < 10_000; index++) directory.note(announcement(`x${index}`), { bytes, via: 'liar' })
    const nodes = directory.all().map(({ node }) => node)
    expect(nodes).toHaveLength(512)
    expect(nodes.filter((node) => node.startsWith('x'))).toHaveLength(perSource)
    expect(nodes.filter((node) => node.startsWith('n') && Number(node.slice(1)) < 300)).toHaveLength(300)
  })

  test('gossip displaces nobody, and what is large leaves room for fewer', () => {
    const directory = createDirectory({ clock: virtualClock(), random: seededRandom(5) })
    for (let index = 0; index < 512; index++) directory.note(announcement(`n${index}`), { bytes: new Uint8Array(100) })
    for (let index = 0; index < 1000; index++) expect(directory.note(announcement(`x${index}`), { bytes: new Uint8Array(100) })).toBe(false)
    const heavy = createDirectory({ clock: virtualClock(), random: seededRandom(5) })
    for (let index = 0; index < 512; index++) heavy.note(announcement(`n${index}`), { bytes: new Uint8Array(65_536) })
    expect(heavy.size).toBe(128)
  })

  test('what is passed on dies out: at second hand it holds as long as its node said, counted from when it was said', async () => {
    const clock = virtualClock({ start: 100_000 })
    const directory = createDirectory({ clock, random: seededRandom(6) })
    const bytes = new Uint8Array(100)
    expect(directory.note(announcement('a', { issuedAt: 10_000, ttl: 10_000 }), { bytes, via: 'b' })).toBe(false)
    expect(directory.note(announcement('a', { issuedAt: 10_000, ttl: 10_000 }), { bytes, via: 'a' })).toBe(true)
    expect(directory.note(announcement('c', { issuedAt: 35_000, ttl: 10_000 }), { bytes, via: 'b' })).toBe(true)
    await clock.advance(5000)
    expect(directory.all().map(({ node }) => node)).toEqual(['a'])
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

test('refusals are summed up in one sentence with numbers', () => {
  const engine = { code: 'engine-unavailable', detail: 'no engine docker' } as const
  const memory = { code: 'exceeds-node', resource: 'memory', wanted: 2 ** 31, available: 2 ** 29, detail: '' } as const
  const nodes = [...['a', 'b', 'c', 'd', 'e'].map((node) => ({ node, refusals: [engine] })), ...['f', 'g'].map((node) => ({ node, refusals: [memory] }))]
  expect(sumUp(nodes, 8)).toBe(
    '0 of 8 nodes could run this: 5 have no engine docker (engine-unavailable); 2 have 512 MiB of memory in all, 2 GiB asked (exceeds-node); 1 gave no answer in time: busy, or away',
  )
  expect(sumUp([{ node: 'a', refusals: [{ code: 'busy', resource: 'cpu', wanted: 1500, available: 500, detail: '' }] }], 1)).toBe(
    '0 of 1 node could run this: 1 has 500m of cpu free, 1500m asked (busy)',
  )
  expect(sumUp([], 0)).toBe('no node is known that could run this')
})
