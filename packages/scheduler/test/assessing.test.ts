import type { Executor } from '@skrei/executor'
import { noopExecutor } from '@skrei/executor/noop'
import type { FileEntry, Task } from '@skrei/job-spec'
import { expect, test } from 'vitest'
import { assess } from '../src/compute/assess.ts'
import { createSimulation } from '../src/simulation/index.ts'
import { asker, upTo } from './asker.ts'
import { noopJob } from './noop-job.ts'

/** Says whether it would run something when it is told to; counts who waits for that. */
const slow = () => {
  const asked: { readonly who: string; readonly answer: () => void }[] = []
  let begun = 0
  const executor: Executor = {
    engine: 'noop',
    inventory: () => Promise.resolve({ version: '1', devices: [] }),
    assess: (task, options) =>
      new Promise((resolve, reject) => {
        begun++
        const one = {
          who: task.specCid,
          answer: () => {
            asked.splice(asked.indexOf(one), 1)
            resolve([])
          },
        }
        asked.push(one)
        options?.signal?.addEventListener('abort', () => {
          if (asked.includes(one)) asked.splice(asked.indexOf(one), 1)
          reject(options.signal?.reason)
        })
      }),
    run: () => {
      throw new Error('nothing is awarded')
    },
    stop: () => Promise.resolve(),
    leftovers: async function* () {},
    remove: () => Promise.resolve(),
  }
  return { executor, asked, begun: () => begun, of: (who: string) => asked.filter((one) => one.who === who).length }
}

test('however many asks come, few are looked into at a time, and requesters take turns', async () => {
  const engine = slow()
  const world = await createSimulation({ nodes: 1, compute: { executors: [engine.executor] } })
  const { id } = world.node(0)
  const greedy = await asker(world, 'greedy')
  await greedy.ask(id, upTo(500), { specCid: 'greedy' })
  expect(engine.asked).toHaveLength(8)
  const others = []
  for (const name of ['b', 'c', 'd', 'e']) {
    const other = await asker(world, name)
    others.push(other)
    await other.ask(id, upTo(20), { specCid: name })
  }
  expect(['greedy', 'b', 'c', 'd', 'e'].map(engine.of)).toEqual([8, 8, 8, 8, 0])
  // A place that becomes free goes to who has had none.
  for (let round = 0; round < 5; round++) {
    engine.asked[0]?.answer()
    await world.clock.advance(10)
    expect(engine.asked).toHaveLength(32)
  }
  expect(engine.of('e')).toBeGreaterThan(1)
  while (engine.asked.length > 0) {
    for (const { answer } of [...engine.asked]) answer()
    await world.clock.advance(1)
  }
  await world.clock.advance(100)
  expect(engine.begun()).toBe(580)
  for (const other of others) expect(other.bids()).toHaveLength(20)
  await world.stop()
})

test('more asks than may wait to be looked into are declined at once, one requester’s before all have come to that', async () => {
  const engine = slow()
  const world = await createSimulation({ nodes: 1, settings: { assessing: 20, assess: 5000 }, compute: { executors: [engine.executor] } })
  const node = world.node(0)
  const waiting = (): number => node.store.read((reader) => reader.list('compute', { state: 'assessing', limit: 100 })).length
  const [one, two, three] = [await asker(world, 'one'), await asker(world, 'two'), await asker(world, 'three')]
  await one.ask(node.id, upTo(300))
  await world.clock.advance(100)
  expect([waiting(), one.declines().length]).toEqual([10, 290])
  expect(one.declines()[0]).toMatchObject({ refusals: [{ code: 'queue-full' }], retryAfter: expect.any(Number) })
  await two.ask(node.id, upTo(10))
  await three.ask(node.id, upTo(10))
  await world.clock.advance(100)
  expect([waiting(), two.declines().length, three.declines().length]).toEqual([20, 0, 10])
  // A restart counts what its rows say.
  node.crash()
  await node.restart()
  await three.ask(node.id, [100])
  await world.clock.advance(100)
  expect([waiting(), three.declines().length]).toEqual([20, 11])
  await world.clock.advance(6000)
  expect([waiting(), engine.asked.length]).toEqual([0, 0])
  await three.ask(node.id, [200])
  expect(waiting()).toBe(1)
  expect(world.errors).toEqual([])
  await world.stop()
})

test('one assessment asks a few sources at a time, and stops at the first that fails', async () => {
  const task = { env: {}, resources: { cpu: 1, memory: 1, disk: 1000, gpu: { count: 0 } }, engine: { type: 'noop' } } as unknown as Task
  const files = upTo(64).map((index): FileEntry => ({ path: `in/${index}`, source: { type: 'inline', text: String(index) } }))
  let [now, most, all] = [0, 0, 0]
  const world = (failing?: number) => ({
    offer: { engines: ['noop'], sources: ['inline'], publishers: ['none'], capacity: { cpu: 1, memory: 1, disk: 1000 }, devices: [], labels: {} },
    executors: new Map(),
    engineAnswers: { wouldRun: () => false, keep: () => {} },
    policy: () => [],
    secret: () => undefined,
    sources: new Map([
      [
        'inline',
        {
          type: 'inline',
          assess: async (source: { readonly text?: string }) => {
            most = Math.max(most, ++now)
            all++
            await new Promise((resolve) => setImmediate(resolve))
            now--
            if (Number(source.text) === failing) throw new Error('broken')
            return { held: true, refusals: [{ code: 'source-forbidden', detail: source.text ?? '' }] }
          },
        } as never,
      ],
    ]),
  })
  const asked = { task, requester: 'r', terms: { constraints: [], publishers: [], verification: 'none' } }
  const refusals = await assess(world(), asked, files, { signal: new AbortController().signal })
  expect(refusals.map(({ detail }) => detail)).toEqual(upTo(64).map(String))
  expect([most, all]).toEqual([8, 64])
  all = 0
  await expect(assess(world(3), asked, files, { signal: new AbortController().signal })).rejects.toThrow('broken')
  await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))
  expect([now, all < 20]).toEqual([0, true])
})

test('an engine that had nothing against a task is not asked about an equal one for a moment; about another one, or later, it is', async () => {
  const noop = noopExecutor()
  const asked: string[] = []
  const watched: Executor = {
    ...noop,
    assess: (task, options) => {
      asked.push(task.env['WHICH'] as string)
      return noop.assess(task, options)
    },
  }
  const world = await createSimulation({ nodes: 1, compute: { executors: [watched] } })
  const node = world.node(0)
  const run = async (which: string): Promise<void> => {
    const job = await node.scheduler.submit(noopJob({ env: { WHICH: which }, engine: { type: 'noop' }, outputs: [], publisher: [{ type: 'none' }] }))
    expect(await world.finish(node, job)).toBe('completed')
    await world.clock.advance(100)
  }
  const turnsOf = async (which: string): Promise<number> => {
    const before = node.store.commits
    await run(which)
    return node.store.commits - before
  }
  const first = await turnsOf('a')
  const second = await turnsOf('a')
  expect(asked).toEqual(['a'])
  expect(second).toBeLessThan(first)
  await run('b')
  expect(asked).toEqual(['a', 'b'])
  await world.clock.advance(2000)
  await run('a')
  expect(asked).toEqual(['a', 'b', 'a'])
  await world.stop()
})

test('what an engine has against a task is not remembered: it is asked each time', async () => {
  let asked = 0
  const refusing: Executor = {
    ...noopExecutor(),
    assess: async () => {
      asked++
      return [{ code: 'image-missing', detail: 'not here yet' }]
    },
  }
  const world = await createSimulation({ nodes: 1, compute: { executors: [refusing] } })
  const here = await asker(world, 'here')
  await here.ask(world.node(0).id, upTo(1), { specCid: 'same' })
  await here.ask(world.node(0).id, [1], { specCid: 'same' })
  await world.clock.advance(100)
  expect(asked).toBe(2)
  await world.stop()
})
