import { virtualClock } from '@skrei/transport/memory'
import { describe, expect, test } from 'vitest'
import { choose } from '../src/directory/choose.ts'
import { createDirectory } from '../src/directory/directory.ts'
import { createNodeFailures } from '../src/directory/failures.ts'
import { createFittings } from '../src/directory/fitting.ts'
import { rank } from '../src/directory/rank.ts'
import { dataLocality, defaultRankers, freeCapacity, pastFailures, preferences, type Ranker, type RankingFacts, randomTieBreak } from '../src/index.ts'
import { createSimulation, seededRandom } from '../src/simulation/index.ts'
import { announcement, wanted } from './announcement.ts'
import { noopJob } from './noop-job.ts'

const facts = (change: Partial<RankingFacts> = {}): RankingFacts => ({
  ...wanted(),
  prefer: [],
  failed: [],
  holders: new Set(),
  failures: () => 0,
  random: () => 0.5,
  ...change,
})

describe('each ranker says one thing', () => {
  test('past failures: of this shard, and of all jobs lately', () => {
    const given = facts({ failed: ['here'], failures: (node) => (node === 'elsewhere' ? 3 : 0) })
    expect(['never', 'elsewhere', 'here'].map((node) => pastFailures.score(announcement(node), given))).toEqual([1, 0.25, 0])
  })
  test('data locality: who holds the inputs', () => {
    expect(['a', 'b'].map((node) => dataLocality.score(announcement(node), facts({ holders: new Set(['a']) })))).toEqual([1, 0])
  })
  test('preferences: the share that the labels satisfy', () => {
    const given = facts({ prefer: ['tier=gold', 'region in (eu)', '!spot', 'arch=arm'] })
    expect(preferences.score(announcement('a', { labels: { tier: 'gold', region: 'eu' } }), given)).toBe(0.75)
    expect(preferences.score(announcement('a'), facts())).toBe(1)
  })
  test('free capacity: the scarcest resource', () => {
    expect(freeCapacity.score(announcement('a', { free: { cpu: 500, memory: 2 ** 28, disk: 2 ** 30 } }), facts())).toBe(0.25)
    expect(freeCapacity.score(announcement('a', { capacity: { cpu: 1, memory: 1, disk: 0 }, free: { cpu: 1, memory: 1, disk: 0 } }), facts())).toBe(0)
  })
  test('a random tie-break: chance, among equals only', () => {
    const random = seededRandom(1)
    const firsts = Array.from({ length: 20 }, () => rank([announcement('a'), announcement('b')], facts({ random }))[0]?.node)
    expect(new Set(firsts).size).toBe(2)
    expect(randomTieBreak.score(announcement('a'), facts())).toBe(0.5)
  })
})

test('the default rankers together: failures count most, then the data, then wishes, then room', () => {
  const none = { cpu: 0, memory: 0, disk: 0 }
  const nodes = [
    announcement('failed', { labels: { tier: 'gold' } }),
    announcement('full', { free: { cpu: 100, memory: 2 ** 30, disk: 2 ** 30 } }),
    announcement('free'),
    announcement('preferred', { labels: { tier: 'gold' }, free: none }),
    announcement('holder', { free: none }),
  ]
  const given = facts({ prefer: ['tier=gold'], failed: ['failed'], holders: new Set(['holder']) })
  expect(rank(nodes, given).map(({ node }) => node)).toEqual(['holder', 'preferred', 'free', 'full', 'failed'])
})

test('a ranker that gives what is no share cannot outweigh the others', () => {
  const odd: Ranker = { name: 'odd', weight: 0.5, score: ({ node }) => (node === 'a' ? 1e9 : Number.NaN) }
  const good: Ranker = { name: 'good', weight: 1, score: ({ node }) => (node === 'b' ? 1 : 0) }
  expect(rank([announcement('a'), announcement('b')], facts(), [odd, good]).map(({ node }) => node)).toEqual(['b', 'a'])
})

test.each([
  [
    'throws',
    () => {
      throw new Error('no idea')
    },
    'it threw: Error: no idea',
  ],
  [
    'throws what has no text',
    () => {
      throw Object.create(null)
    },
    'it threw: something without a text',
  ],
  ['gives NaN', () => Number.NaN, 'it gave NaN with the weight 100'],
  ['gives infinity', () => Number.POSITIVE_INFINITY, 'it gave Infinity with the weight 100'],
  ['gives no number', () => '1' as unknown as number, 'it gave 1 with the weight 100'],
] as const)('a ranker that %s counts as 0 for that node, and that is told', (_how, fails, why) => {
  const told: string[] = []
  const odd: Ranker = { name: 'odd', weight: 100, score: ({ node }) => (node === 'a' ? fails() : 0) }
  const good: Ranker = { name: 'good', weight: 1, score: ({ node }) => (node === 'b' ? 1 : 0) }
  const nodes = [announcement('a'), announcement('b')]
  expect(rank(nodes, facts(), [odd, good], (...said) => told.push(said.join(': '))).map(({ node }) => node)).toEqual(['b', 'a'])
  expect(told).toEqual([`odd: ${why}`])
})

test.each([
  [
    'throws',
    () => {
      throw new Error('no idea')
    },
    'it threw: Error: no idea',
  ],
  ['gives NaN', () => Number.NaN, 'it gave NaN with the weight 1'],
  ['gives infinity', () => Number.POSITIVE_INFINITY, 'it gave Infinity with the weight 1'],
] as const)('a job whose ranker %s goes on, and its history says so once', async (_how, score, fault) => {
  const world = await createSimulation({ nodes: 4, rankers: [{ name: 'odd', weight: 1, score }] })
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit(noopJob({ sharding: { count: 5 } }))
  expect(await world.finish(requester, jobId)).toBe('completed')
  const faults = requester.scheduler.history(jobId, { limit: 1000 }).filter((item) => 'fault' in item)
  expect(faults).toMatchObject([{ kind: 'job', event: 'fault', actor: 'ranker odd', fault }])
  expect(world.errors).toEqual([])
  await world.stop()
})

test('failures of nodes fade, and only so many are remembered', async () => {
  const clock = virtualClock()
  const failures = createNodeFailures({ clock })
  failures.note('a')
  failures.note('a')
  await clock.advance(3_600_000)
  expect([failures.recent('a'), failures.recent('b')]).toEqual([1, 0])
  for (let index = 0; index < 1000; index++) failures.note('a')
  expect(failures.recent('a')).toBe(16)
  for (let index = 0; index < 512; index++) failures.note(`n${index}`)
  expect(failures.recent('a')).toBe(0)
})

describe('choosing', () => {
  const setup = (nodes: number, room = 3) => {
    const random = seededRandom(7)
    const directory = createDirectory({ clock: virtualClock(), random })
    for (let index = 0; index < nodes; index++)
      directory.note(
        announcement(`n${index}`, { free: { cpu: (1000 * index) / nodes, memory: 2 ** 30, disk: 2 ** 30 }, ...(index % 2 === 1 && { engines: [] }) }),
      )
    const fittings = createFittings({ directory, random })
    let looks = 0
    const run = (given: RankingFacts, rankers = defaultRankers, accept: (node: string) => boolean = () => true): readonly string[] => {
      looks = 0
      return choose({ directory, fitting: fittings.of('job', given), facts: given, rankers, room, accept: (node) => ++looks > 0 && accept(node) })
    }
    return { run, looks: () => looks }
  }

  test('the better of two at random: the worst is never asked while others fit, and not only the best is', () => {
    const { run } = setup(100)
    const chosen = Array.from({ length: 300 }, () => run(facts({ random: seededRandom(1) })))
    expect(chosen.every((nodes) => nodes.length === 3 && new Set(nodes).size === 3)).toBe(true)
    const seen = new Set(chosen.flat())
    expect(seen.has('n0')).toBe(false)
    expect(seen.size).toBeGreaterThan(40)
    expect([...seen].every((node) => Number(node.slice(1)) % 2 === 0)).toBe(true)
  })

  test('looks at twice as many as are wanted, however many are known', () => {
    const { run, looks } = setup(512)
    run(facts())
    expect(looks()).toBe(6)
  })

  test('who holds the data is among those drawn, if it fits, and comes first', () => {
    const { run } = setup(512)
    for (let time = 0; time < 50; time++) expect(run(facts({ holders: new Set(['n500', 'n501', 'unknown']) }))[0]).toBe('n500')
    expect(run(facts({ holders: new Set(['n500']) }), defaultRankers, (node) => node !== 'n500')).not.toContain('n500')
  })

  test('all that fit are asked where there are few', () => {
    expect([...setup(6).run(facts())].sort()).toEqual(['n0', 'n2', 'n4'])
    expect([...setup(10).run(facts())]).toHaveLength(3)
  })
})

test("the caller's rankers replace the defaults, and still no node has a shard again that failed there", async () => {
  const lovesFailures: Ranker = { name: 'loves-failures', weight: 1, score: ({ node }, { failed }) => (failed.includes(node) ? 1 : 0) }
  const last: Ranker = { name: 'last', weight: 0.5, score: ({ node }) => Number(node.slice(-1)) / 10 }
  const world = await createSimulation({ nodes: 5, requesterOnly: true, rankers: [lovesFailures, last] })
  world.interference.publish = () => Promise.reject(new Error('no room on the server'))
  const requester = world.node(0)
  const jobId = await requester.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 10 }, retry: { attempts: 6, backoff: 1000 } }))
  expect(await world.finish(requester, jobId)).toBe('failed')
  const nodes = requester.scheduler.result(jobId)?.shards[0]?.executions.map(({ node }) => node) ?? []
  expect(nodes).toHaveLength(6)
  // Each of the four has it once; only then one has it again.
  expect(new Set(nodes.slice(0, 4)).size).toBe(4)
  expect(world.errors).toEqual([])
  await world.stop()
})
