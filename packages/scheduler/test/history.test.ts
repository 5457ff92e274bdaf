import { cidOf } from '@skrei/job-spec'
import { type AnyMessage, decodeMessage, encodeMessage, executionId } from '@skrei/protocol'
import { expect, test } from 'vitest'
import type { HistoryItem } from '../src/index.ts'
import { createSimulation, type SimulatedNode, type Simulation } from '../src/simulation/index.ts'
import { noopJob } from './noop-job.ts'

const everything = (node: SimulatedNode, job: string): readonly HistoryItem[] => node.scheduler.history(job, { limit: 100_000 })

/** Reads a subscription in the background. */
const collect = (items: AsyncIterable<HistoryItem>, pause?: () => Promise<void>) => {
  const got: HistoryItem[] = []
  const ended = (async () => {
    for await (const item of items) {
      got.push(item)
      await pause?.()
    }
    return 'ended'
  })().catch((error: Error) => error.name)
  return { got, ended }
}

test('the history of a job is one list over the job, its shards and its executions, with time, cause and actor', async () => {
  const world = await createSimulation({ nodes: 3, requesterOnly: true })
  const requester = world.node(0)
  const other = await requester.scheduler.submit(noopJob())
  const job = await requester.scheduler.submit(noopJob({ sharding: { count: 4 } }))
  await world.finish(requester, job)
  await world.finish(requester, other)
  const all = everything(requester, job)

  expect(all.map(({ sequence }) => sequence)).toEqual(all.map(({ sequence }) => sequence).toSorted((a, b) => a - b))
  expect(all.map(({ at }) => at)).toEqual(all.map(({ at }) => at).toSorted((a, b) => a - b))
  expect(all[0]).toEqual({ sequence: all[0]?.sequence, at: all[0]?.at, kind: 'job', id: job, event: 'submit', actor: 'user', to: 'running' })
  expect(all.at(-1)).toMatchObject({ kind: 'job', id: job, event: 'composed', actor: 'compose', from: 'composing', to: 'completed' })
  expect(all.filter(({ id }) => !id.startsWith(job)).every(({ kind }) => kind === 'execution')).toBe(true)
  for (let index = 0; index < 4; index++) {
    const shard = all.filter((item) => item.shard === index)
    expect(shard.filter(({ kind }) => kind === 'shard').flatMap((item) => ('to' in item ? [item.to] : []))).toContain('completed')
    const [execution] = requester.scheduler.result(job)?.shards[index]?.executions ?? []
    const states = shard.filter(({ kind, id }) => kind === 'execution' && id === execution?.id)
    expect(states.map((item) => ('to' in item ? item.to : item))).toEqual(['awarding', 'running', 'accepted', 'matching', 'completed'])
    expect(states.every(({ node }) => node === execution?.node)).toBe(true)
    // Said by the node that runs it.
    expect(states.find(({ event }) => event === 'finished')?.actor).toBe(execution?.node)
  }

  const paged: HistoryItem[] = []
  for (;;) {
    const page = requester.scheduler.history(job, { ...(paged.length > 0 && { after: paged.at(-1)?.sequence ?? 0 }), limit: 7 })
    paged.push(...page)
    if (page.length < 7) break
  }
  expect(paged).toEqual(all)
  expect(requester.scheduler.history('nothing', { limit: 10 })).toEqual([])
})

test('a compute node has the history of each execution that it runs', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true })
  const job = await world.node(0).scheduler.submit(noopJob())
  await world.finish(world.node(0), job)
  await world.clock.advance(10_000)
  const id = world.node(0).scheduler.result(job)?.shards[0]?.executions[0]?.id ?? ''
  const history = world.node(1).scheduler.executionHistory(id, { limit: 100 })
  expect(history.map((item) => ('to' in item ? item.to : item))).toEqual([
    'assessing',
    'reserved',
    'staging',
    'running',
    'finished',
    'publishing',
    'published',
    'cleaning',
    'done',
  ])
  expect(history[0]).toMatchObject({ kind: 'compute', id, event: 'ask', actor: world.node(0).id })
  expect(world.node(1).scheduler.executionHistory(id, { after: history[6]?.sequence ?? 0, limit: 1 })).toEqual([history[7]])
})

test('a subscription replays, goes on live without a gap or a repetition, and ends with the job', async () => {
  const world = await createSimulation({ nodes: 3, requesterOnly: true })
  const requester = world.node(0)
  const job = await requester.scheduler.submit(noopJob({ sharding: { count: 100 }, engine: { type: 'noop', duration: 3000, files: {} } }))
  const early = collect(requester.scheduler.subscribe(job))
  await world.clock.advance(4000)
  expect(early.got).toEqual(everything(requester, job))
  expect(early.got.length).toBeGreaterThan(100)
  const middle = everything(requester, job)[50]?.sequence ?? 0
  const late = collect(requester.scheduler.subscribe(job, { after: middle }))
  // Takes one entry every 100 ms of the network's time: more happens than it takes.
  const slow = collect(requester.scheduler.subscribe(job), () => new Promise((resolve) => void world.clock.at(world.clock.now() + 100, () => resolve())))
  const lazy = requester.scheduler.subscribe(job)[Symbol.asyncIterator]()
  const first = await lazy.next()
  await world.finish(requester, job)
  await world.clock.advance(1_000)
  const all = everything(requester, job)
  expect(all.length).toBeGreaterThan(600)
  expect(await early.ended).toBe('ended')
  expect(early.got).toEqual(all)
  expect(await late.ended).toBe('ended')
  expect(late.got).toEqual(all.slice(51))
  expect(slow.got.length).toBeLessThan(all.length)
  await world.clock.advance(120_000)
  expect(await slow.ended).toBe('ended')
  expect(slow.got).toEqual(all)
  // It asks for the second one long after the end.
  const rest: HistoryItem[] = []
  for (let item = first; item.done !== true; item = await lazy.next()) rest.push(item.value)
  expect(rest).toEqual(all)
  expect(await collect(requester.scheduler.subscribe(job, { after: all.at(-1)?.sequence ?? 0 })).ended).toBe('ended')
})

test('a subscription takes from the store what its reader takes from it, and no more than a page ahead', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true })
  const requester = world.node(0)
  const job = await requester.scheduler.submit(noopJob({ sharding: { count: 150 }, engine: { type: 'noop', duration: 10, files: {} } }))
  let entries = 0
  const { read } = requester.store
  requester.store.read = (work) =>
    read((reader) =>
      work({
        ...reader,
        groupHistory: (...page) => {
          const found = reader.groupHistory(...page)
          entries += found.length
          return found
        },
      }),
    )
  const items = requester.scheduler.subscribe(job)[Symbol.asyncIterator]()
  await items.next()
  await world.finish(requester, job)
  requester.store.read = (work) => {
    if (entries > 300) throw new Error('it read ahead')
    return read(work)
  }
  expect(everything(requester, job).length).toBeGreaterThan(1000)
  expect(entries).toBeLessThanOrEqual(256)
  expect((await items.next()).done).toBe(false)
  expect(await items.return?.()).toEqual({ done: true, value: undefined })
})

test('a subscription ends with its signal, and rejects when the node stops or where there is no such job', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true })
  const requester = world.node(0)
  const job = await requester.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 60_000, files: {} } }))
  const controller = new AbortController()
  const mine = collect(requester.scheduler.subscribe(job, { signal: controller.signal }))
  const other = collect(requester.scheduler.subscribe(job))
  await world.clock.advance(5000)
  controller.abort()
  expect(await mine.ended).toBe('ended')
  expect(mine.got).toEqual(everything(requester, job))
  expect(await collect(requester.scheduler.subscribe(job, { signal: controller.signal })).ended).toBe('ended')
  expect(await collect(requester.scheduler.subscribe('nothing')).ended).toBe('Error')
  await world.stop()
  expect(await other.ended).toBe('AbortError')
})

test('whoever knows the last sequence goes on after a restart of the node where it was', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true })
  const requester = world.node(0)
  const job = await requester.scheduler.submit(noopJob({ sharding: { count: 6 }, engine: { type: 'noop', duration: 4000, files: {} }, retry: { attempts: 5 } }))
  const before = collect(requester.scheduler.subscribe(job))
  await world.clock.advance(1500)
  requester.crash()
  expect(await before.ended).toBe('AbortError')
  await world.clock.advance(2000)
  await requester.restart()
  const after = collect(requester.scheduler.subscribe(job, { after: before.got.at(-1)?.sequence ?? 0 }))
  await world.finish(requester, job)
  expect(await after.ended).toBe('ended')
  expect(before.got.length).toBeGreaterThan(0)
  expect(after.got.length).toBeGreaterThan(0)
  expect([...before.got, ...after.got]).toEqual(everything(requester, job))
})

/** A peer that says what it likes, each time as if it had just been started: then nothing that it says is a repetition. */
const peer = async (world: Simulation, id: string) => {
  const transport = world.network.join(id)
  await transport.start()
  const got: AnyMessage[] = []
  let counter = 0
  transport.receive(async (from, frame) => {
    for (const bytes of frame) got.push(decodeMessage(bytes, { network: 'test', self: id, from, check: () => true, verified: () => false }))
  })
  return {
    got,
    say: async (to: string, type: string, body: unknown, times = 1) => {
      for (let time = 0; time < times; time++) {
        counter++
        const message = { network: 'test', from: id, to, incarnation: { counter, id: '1'.repeat(16) }, type, body }
        void transport.send(to, [encodeMessage(message as never, () => new Uint8Array(64))], {}).catch(() => {})
        await world.clock.advance(50)
      }
    },
  }
}

test('a party that repeats itself fills no history: so much is recorded, the rest is counted, and the change that counts is still recorded', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, settings: { refusals: 20 } })
  const node = world.node(1)
  const evil = await peer(world, 'evil')
  const task = {
    specCid: 'b',
    engine: { type: 'noop', duration: 60_000, files: {} },
    env: {},
    outputs: [],
    resources: { cpu: 100, memory: 1, disk: 1, gpu: { count: 0 } },
    limits: { stdout: 1, stderr: 1, files: 1 },
    network: { mode: 'none' },
    timeout: 100_000,
  }
  const terms = { queue: 1000, lease: null, publishers: [{ type: 'none' }], verification: 'none', constraints: [], publish: 1000, retention: 1000 }
  const ask = { askId: 'a/0', job: 'a', task, shard: { index: 0, count: 1, manifest: cidOf([]), files: [] }, terms }
  const execution = executionId({ network: 'test', requester: 'evil', compute: node.id, askId: 'a/0', index: 0 })
  await evil.say(node.id, 'ask', ask)
  await evil.say(node.id, 'award', { askId: 'a/0', execution })
  await evil.say(node.id, 'ask', ask, 100)
  for (let epoch = 1; epoch <= 50; epoch++)
    await evil.say(node.id, 'verdict', { execution, round: 0, verdict: 'accepted', epoch, act: 'publish', assurance: 'none' })
  await evil.say(node.id, 'stop', { execution, reason: 'cancel' })
  await evil.say(node.id, 'award', { askId: 'a/0', execution }, 100)

  const history = node.scheduler.executionHistory(execution, { limit: 1000 })
  const refused = history.filter((item) => 'refused' in item)
  expect(refused).toHaveLength(20)
  expect(refused[0]).toMatchObject({ event: 'verdict', actor: 'evil', refused: 'not-accepted' })
  expect(refused.slice(0, -1).some((item) => 'more' in item)).toBe(false)
  expect(refused.at(-1)).toMatchObject({ more: 30 })
  expect(history.flatMap((item) => ('to' in item ? [item.to] : []))).toEqual([
    'assessing',
    'reserved',
    'staging',
    'running',
    'stopping',
    'logging',
    'cleaning',
    'done',
  ])
  expect(world.errors).toEqual([])
  // It had its answer each time, and always the same.
  expect(evil.got.filter(({ type }) => type === 'awarded')).toHaveLength(101)
})

test('a stranger leaves nothing in the history of a job, running or over', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true })
  const requester = world.node(0)
  const evil = await peer(world, 'evil')
  const job = await requester.scheduler.submit(noopJob())
  const shard = `${job}/0000000`
  const spoil = async () => {
    const askId = `${shard}/0`
    const execution = executionId({ network: 'test', requester: requester.id, compute: 'evil', askId, index: 0 })
    await evil.say(requester.id, 'bid', { askId, execution, ttl: 1000 }, 3)
    await evil.say(requester.id, 'decline', { askId, refusals: [{ code: 'busy', detail: 'no' }] }, 3)
    for (const { executions } of requester.scheduler.result(job)?.shards ?? []) {
      await evil.say(requester.id, 'finished', { execution: executions[0]?.id, usage: {}, facts: {} }, 3)
      await evil.say(requester.id, 'stopped', { execution: executions[0]?.id, phase: 'x' }, 3)
    }
  }
  await spoil()
  expect(await world.finish(requester, job)).toBe('completed')
  const version = requester.store.read((reader) => reader.get('shard', shard)?.version)
  await spoil()
  expect(everything(requester, job).filter((item) => item.actor === 'evil' || 'refused' in item)).toEqual([])
  expect(requester.store.read((reader) => reader.get('shard', shard)?.version)).toBe(version)
  expect(world.errors).toEqual([])
})
