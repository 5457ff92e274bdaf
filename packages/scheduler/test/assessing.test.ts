import type { Executor } from '@skrei/executor'
import type { FileEntry, Task } from '@skrei/job-spec'
import { expect, test } from 'vitest'
import { assess } from '../src/compute/assess.ts'
import { createSimulation } from '../src/simulation/index.ts'
import { asker, upTo } from './asker.ts'

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
