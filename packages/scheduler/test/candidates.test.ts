import type { Row } from '@skrei/state-store'
import { memoryStateStore } from '@skrei/state-store/memory'
import { virtualClock } from '@skrei/transport/memory'
import { expect, test } from 'vitest'
import { createDirectory } from '../src/directory/directory.ts'
import { createNodeFailures } from '../src/directory/failures.ts'
import { createFittings } from '../src/directory/fitting.ts'
import { defaultRankers, defaultSettings } from '../src/index.ts'
import type { ShardContext } from '../src/machines/shard.ts'
import { jobFacts, shardFacts } from '../src/requester/facts.ts'
import { createSpecs, specRow } from '../src/requester/specs.ts'
import { seededRandom } from '../src/simulation/index.ts'
import { announcement } from './announcement.ts'
import { noopJob } from './noop-job.ts'

/** A requester that knows 500 nodes and has one job with one shard. */
const setup = (holders: readonly string[], settled = true) => {
  const clock = virtualClock()
  const random = seededRandom(1)
  const directory = createDirectory({ clock, random })
  for (let index = 0; index < 500; index++) directory.note(announcement(`n${index}`))
  const world = {
    network: 'test',
    self: 'requester',
    settings: defaultSettings,
    specs: createSpecs(),
    directory,
    fittings: createFittings({ directory, random }),
    rankers: defaultRankers,
    rankerFailed: () => {},
    failures: createNodeFailures({ clock }),
    random,
    settledIn: () => settled,
    now: () => clock.now(),
  }
  const store = memoryStateStore()
  store.transact((transaction) => {
    transaction.put(specRow('job', noopJob({ resources: { cpu: 1, memory: 1, disk: 1 }, retry: { attempts: 1000 } })))
    transaction.put({ kind: 'job', id: 'job', state: 'running', open: true, version: 1, data: { shards: { total: 1 }, holders } } as unknown as Row)
  })
  const facts = (change: Partial<ShardContext> = {}, state = 'waiting') =>
    store.read((reader) => {
      const shard = { ...jobFacts(world, reader, 'job').shard(0), ...change }
      const { candidates, hopeless, summary } = shardFacts(world, reader, state, shard, { type: 'deadline' })
      return { nodes: candidates.map(({ node }) => node), hopeless, summary }
    })
  return { facts, world, directory }
}

const askedOf = (...nodes: readonly string[]): Partial<ShardContext> => ({ asked: nodes.map((node) => ({ node, askId: node, execution: node })) })

const failedOn = (nodes: readonly string[]): Partial<ShardContext> => ({
  executions: nodes.map((node) => ({ id: node, node, outcome: 'lost', failure: { code: 'node-lost', detail: '' } })),
})

test('the best-ranked node is asked alone, the others when it has not bid: those that hold the inputs first, whether chance drew them or not', () => {
  const { facts } = setup(['n7', 'nobody', 'n400'])
  for (let time = 0; time < 20; time++) {
    const [first, ...more] = facts().nodes
    expect(more).toEqual([])
    const others = facts(askedOf(first ?? ''), 'placing').nodes
    expect(others).toHaveLength(2)
    expect([first, others[0]].sort()).toEqual(['n400', 'n7'])
    expect(facts(askedOf('a', 'b', 'c'), 'placing').nodes).toHaveLength(3)
    expect(facts(askedOf(...'abcdefg'), 'placing').nodes).toHaveLength(1)
    expect(facts(askedOf(...'abcdefgh'), 'placing').nodes).toHaveLength(1)
  }
})

test('a holder on which the shard failed is not asked again while others are left', () => {
  const { facts } = setup(['n7'])
  expect(facts(failedOn(['n7'])).nodes).not.toContain('n7')
})

test('when every node had it, one has it again; but not before others were looked for', () => {
  const all = failedOn(Array.from({ length: 500 }, (_, index) => `n${index}`))
  expect(setup([]).facts(all).nodes).toHaveLength(1)
  expect(setup([], false).facts(all).nodes).toEqual([])
})

test('a node that said "later" is waited for before one has the shard again that failed it', () => {
  const failed = failedOn(Array.from({ length: 499 }, (_, index) => `n${index}`))
  const { facts } = setup([])
  const later = { node: 'n499', refusals: [] }
  expect(facts({ ...failed, resting: [{ ...later, until: 1000 }] }).nodes).toEqual([])
  expect(facts({ ...failed, resting: [{ ...later, until: 0 }] }).nodes).toEqual(['n499'])
})

test('a shard is hopeless only when all who are known said no, and others were looked for', () => {
  const { directory, facts } = setup([])
  const no = [{ code: 'policy', detail: 'not here' }] as const
  const barred = Array.from({ length: 499 }, (_, index) => ({ node: `n${index}`, refusals: no }))
  expect(facts({ barred })).toMatchObject({ nodes: ['n499'], hopeless: undefined })
  directory.note(announcement('n499', { counter: 2, engines: [] }))
  expect(facts({ barred }).hopeless).toEqual({
    code: 'no-node',
    detail: '0 of 500 nodes could run this: 499 say: not here (policy); 1 has no engine noop (engine-unavailable)',
  })
  expect(facts({ barred: [] }).hopeless).toBe(undefined)
  const unsettled = setup([], false)
  expect(unsettled.facts({ barred: [...barred, { node: 'n499', refusals: no }] })).toMatchObject({ nodes: [], hopeless: undefined })
})
