import { cidOf } from '@skrei/job-spec'
import { type AnyMessage, decodeMessage, encodeMessage, executionId } from '@skrei/protocol'
import type { Row } from '@skrei/state-store'
import { memoryStateStore, type Snapshot } from '@skrei/state-store/memory'
import { virtualClock } from '@skrei/transport/memory'
import { expect, test } from 'vitest'
import { createPeerForgetter } from '../src/forget-peers.ts'
import { endedRow, longestResend, shortestKeep } from '../src/kernel/ended.ts'
import { createPeers } from '../src/peers.ts'
import { forgetEnded } from '../src/retention.ts'
import { createSimulation, type SimulatedNode } from '../src/simulation/index.ts'
import { noopJob } from './noop-job.ts'

const hour = 3_600_000
const day = 24 * hour
const kinds = ['job', 'spec', 'manifest', 'shard', 'execution', 'compute', 'ended', 'refusals'] as const

/** A network that says little, so that days pass quickly. */
const quiet = { lease: 1_200_000, heartbeat: 600_000, announcementTtl: 300_000, keepJobs: day, keepExecutions: day }

const rows = (node: SimulatedNode): Readonly<Record<string, number>> =>
  node.store.read((reader) => Object.fromEntries(kinds.map((kind) => [kind, reader.list(kind, { limit: 1_000_000 }).length])))
const total = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((sum, count) => sum + count, 0)
const nothing = Object.fromEntries(kinds.map((kind) => [kind, 0]))

test('a job is kept for its time after its end, and then nothing is left of it, on either side', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, settings: { ...quiet, keepJobs: 3 * day } })
  const [requester, compute] = [world.node(0), world.node(1)]
  const job = await requester.scheduler.submit(noopJob({ sharding: { count: 5 } }))
  await world.finish(requester, job)
  await world.clock.advance(day - hour)
  const executions = compute.store.read((reader) => reader.list('compute', { limit: 10 })).map(({ id }) => id)
  expect(executions).toHaveLength(5)
  await world.clock.advance(2 * hour)
  expect(rows(compute)).toEqual(nothing)
  expect(executions.flatMap((id) => compute.scheduler.executionHistory(id, { limit: 1 }))).toEqual([])
  await world.clock.advance(2 * day - 2 * hour)
  expect(requester.scheduler.job(job)?.state).toBe('completed')
  expect(requester.scheduler.history(job, { limit: 1000 }).length).toBeGreaterThan(20)
  await world.clock.advance(2 * hour)
  expect(rows(requester)).toEqual(nothing)
  expect(requester.scheduler.job(job)).toBeUndefined()
  expect(requester.scheduler.result(job)).toBeUndefined()
  expect(requester.scheduler.history(job, { limit: 1 })).toEqual([])
  expect(world.errors).toEqual([])
})

test('the store is as large after 1,000 short jobs as after the first day of them', async () => {
  const world = await createSimulation({ nodes: 1, settings: quiet })
  const node = world.node(0)
  const jobs: string[] = []
  const executions = new Set<string>()
  node.scheduler.watch((event) => void (event.type === 'transition' && event.transition.kind === 'compute' && executions.add(event.transition.id)))
  const sizes: number[] = []
  for (let batch = 1; batch <= 100; batch++) {
    for (let index = 0; index < 10; index++) jobs.push(await node.scheduler.submit(noopJob({ engine: { type: 'noop', duration: 1, files: {} } })))
    await world.clock.advance(10 * hour)
    if (batch % 10 === 0) sizes.push(total(rows(node)))
  }
  // Two batches are younger than a day: of each job five rows, one of the execution that ran it, and two that say when they ended.
  expect(sizes).toEqual(sizes.map(() => 2 * 10 * 8))
  expect(jobs.slice(0, 900).flatMap((job) => node.scheduler.history(job, { limit: 1 }))).toEqual([])
  expect(executions.size).toBe(1000)
  expect([...executions].slice(0, 900).flatMap((id) => node.scheduler.executionHistory(id, { limit: 1 }))).toEqual([])
  expect(world.errors).toEqual([])
}, 30_000)

test('a job that runs for longer than jobs are kept is left alone while others go', async () => {
  const world = await createSimulation({ nodes: 1, settings: quiet })
  const node = world.node(0)
  const long = await node.scheduler.submit(
    noopJob({ engine: { type: 'noop', duration: 4 * day, files: { '/out/a': 'x' } }, timeouts: { execution: 5 * day, total: 6 * day } }),
  )
  const short = await node.scheduler.submit(noopJob())
  await world.finish(node, short)
  await world.clock.advance(3 * day)
  expect(node.scheduler.job(short)).toBeUndefined()
  expect(node.scheduler.job(long)?.state).toBe('running')
  expect(node.scheduler.history(long, { limit: 1 })).toHaveLength(1)
  expect(rows(node)).toEqual({ ...nothing, job: 1, spec: 1, manifest: 1, shard: 1, execution: 1, compute: 1 })
  await world.clock.advance(day + hour)
  expect(node.scheduler.job(long)?.state).toBe('completed')
  expect(node.scheduler.history(long, { limit: 100 }).at(-1)).toMatchObject({ to: 'completed' })
})

test('a large job goes in many small transactions, and a node that is killed in between goes on after its restart', async () => {
  const world = await createSimulation({ nodes: 1, settings: quiet })
  const node = world.node(0)
  const job = await node.scheduler.submit(
    noopJob({ inputs: [{ source: { type: 'inline', text: '400' }, path: '/in' }], sharding: { glob: '*' }, engine: { type: 'noop', duration: 1, files: {} } }),
  )
  await world.finish(node, job)
  await world.clock.advance(1000)
  const before = rows(node)
  expect(before).toMatchObject({ job: 1, manifest: 13, shard: 400, execution: 400, compute: 400 })
  await world.clock.advance(day - hour)
  expect(rows(node)).toEqual(before)
  node.crash()
  await world.clock.advance(2 * hour)
  await node.restart()
  const left = (): number => total(rows(node))
  let parts = 0
  for (let last = total(before); left() > 0; parts++) {
    expect(last - left()).toBeGreaterThan(0)
    expect(last - left()).toBeLessThanOrEqual(2 * 200)
    expect(node.scheduler.job(job)).toBeUndefined()
    last = left()
    if (parts % 3 === 1) {
      node.crash()
      await world.clock.advance(1000)
      await node.restart()
    } else await world.clock.advance(100)
  }
  expect(parts).toBeGreaterThan(5)
  expect(world.errors).toEqual([])
}, 30_000)

test('whatever write it dies at, what is over goes whole and what is not stays whole', () => {
  const put = (kind: string, id: string, parent?: string): Row => ({ kind, id, ...(parent && { parent }), state: 's', open: false, version: 1, data: null })
  const first = memoryStateStore()
  first.transact((tx) => {
    for (const job of ['old', 'new']) {
      const belongs: Row[] = [put('job', job), put('spec', job)]
      for (let index = 0; index < 3; index++) {
        const shard = `${job}/${index}`
        belongs.push(put('shard', shard, job), put('manifest', shard, job), put('execution', `${shard}-a`, shard), put('execution', `${shard}-b`, shard))
      }
      for (const row of belongs) {
        tx.put(row)
        tx.record({ kind: row.kind, id: row.id, group: job, at: 1, data: null })
      }
      tx.put(put('refusals', `shard ${job}/1`))
      tx.enqueue({ kind: 'execution', id: `${job}/0-a`, type: 'send', lane: 'l', data: null })
      tx.put(put('compute', `run-${job}`))
    }
    tx.put(endedRow('job', 'old', 100))
    tx.put(endedRow('compute', 'run-old', 100))
    tx.put(endedRow('job', 'new', 200))
    tx.put(endedRow('compute', 'run-new', 200))
  })
  const seen = (from: Snapshot) => {
    const store = memoryStateStore({ from })
    return store.read((reader) => ({
      ...Object.fromEntries(kinds.map((kind) => [kind, reader.list(kind, { limit: 100 }).map(({ id }) => id)])),
      old: reader.groupHistory('old', 0, 100).length,
      new: reader.groupHistory('new', 0, 100).length,
      pending: reader.pending(0, 10).map(({ id }) => id),
    }))
  }
  const expected = {
    job: ['new'],
    spec: ['new'],
    manifest: ['new/0', 'new/1', 'new/2'],
    shard: ['new/0', 'new/1', 'new/2'],
    execution: ['new/0-a', 'new/0-b', 'new/1-a', 'new/1-b', 'new/2-a', 'new/2-b'],
    compute: ['run-new'],
    ended: ['0000000000000200 compute run-new', '0000000000000200 job new'],
    refusals: ['shard new/1'],
    old: 0,
    new: 14,
    pending: ['new/0-a'],
  }
  let survived = first.snapshot()
  const initial = survived
  let crashes = 0
  for (let write = 1; ; write++) {
    // Each time from the beginning, and each time it dies one write later; then again without dying.
    const store = memoryStateStore({
      from: initial,
      onWrite: (count) => {
        if (count === write) throw new Error('killed')
      },
    })
    let whole = false
    try {
      while (store.transact((tx) => forgetEnded(tx, { job: 150, compute: 150 }, 3))) {
        // The next part.
      }
      whole = true
    } catch (error) {
      expect((error as Error).message).toBe('killed')
      crashes++
    }
    survived = store.snapshot()
    const restarted = memoryStateStore({ from: survived })
    for (let parts = 0; restarted.transact((tx) => forgetEnded(tx, { job: 150, compute: 150 }, 3)); parts++) expect(parts).toBeLessThan(100)
    expect(seen(restarted.snapshot())).toEqual(expected)
    if (whole) break
  }
  expect(crashes).toBeGreaterThan(20)
})

test('an ask that is repeated is not run again, and an award of an execution that is forgotten is refused as unknown', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, settings: quiet })
  const node = world.node(1)
  const transport = world.network.join('peer')
  await transport.start()
  const got: AnyMessage[] = []
  transport.receive(async (from, frame) => {
    for (const bytes of frame) got.push(decodeMessage(bytes, { network: 'test', self: 'peer', from, check: () => true, verified: () => false }))
  })
  let counter = 0
  const say = async (type: string, body: unknown): Promise<void> => {
    counter++
    const message = { network: 'test', from: 'peer', to: node.id, incarnation: { counter, id: '1'.repeat(16) }, type, body }
    void transport.send(node.id, [encodeMessage(message as never, () => new Uint8Array(64))], {}).catch(() => {})
    await world.clock.advance(5000)
  }
  const task = {
    specCid: 'b',
    engine: { type: 'noop', duration: 10, files: {} },
    env: {},
    outputs: [],
    resources: { cpu: 100, memory: 1, disk: 1, gpu: { count: 0 } },
    limits: { stdout: 1, stderr: 1, files: 1 },
    network: { mode: 'none' },
    timeout: 1000,
  }
  const terms = { queue: 30 * day, lease: null, publishers: [{ type: 'none' }], verification: 'none', constraints: [], publish: 1000, retention: 1000 }
  const ask = { askId: 'a/0', job: 'a', task, shard: { index: 0, count: 1, manifest: cidOf([]), files: [] }, terms }
  const execution = executionId({ network: 'test', requester: 'peer', compute: node.id, askId: 'a/0', index: 0 })
  await say('ask', ask)
  await say('award', { askId: 'a/0', execution })
  await say('settle', { execution })
  const started = (): number => world.happened.filter(({ what, execution: id }) => what === 'started' && id === execution).length
  expect(started()).toBe(1)
  // As late as it may come: the last resend of it, and then some.
  await world.clock.advance(longestResend * 1.1)
  await say('ask', ask)
  await say('award', { askId: 'a/0', execution })
  expect(started()).toBe(1)
  expect(got.filter(({ type }) => type === 'awarded' || type === 'refused').map(({ body }) => body)).toEqual([{ execution }, { execution }])
  await world.clock.advance(shortestKeep)
  await say('award', { askId: 'a/0', execution })
  expect(got.filter(({ type }) => type === 'refused').at(-1)?.body).toEqual({ execution, code: 'unknown' })
  expect(rows(node)).toEqual(nothing)
  expect(node.scheduler.executionHistory(execution, { limit: 1 })).toEqual([])
})

test('no message is sent later than what receivers remember allows, however long its sender would wait', async () => {
  const world = await createSimulation({ nodes: 2, requesterOnly: true, settings: quiet })
  const [requester, node] = [world.node(0), world.node(1)]
  world.network.block(requester.id, node.id)
  const job = await requester.scheduler.submit(noopJob({ timeouts: { queue: 3 * day, total: 4 * day } }))
  await world.clock.advance(longestResend - hour)
  expect(requester.store.read((reader) => reader.pending(0, 10)).map(({ type }) => type)).toEqual(['send'])
  await world.clock.advance(2 * hour)
  expect(requester.scheduler.job(job)?.open).toBe(true)
  world.network.heal()
  await world.clock.advance(hour)
  expect(requester.store.read((reader) => reader.pending(0, 10))).toEqual([])
  expect(rows(node)).toEqual(nothing)
})

/** Nodes that a node remembers, this one's own included where it asks itself. */
const peersOf = (node: SimulatedNode): readonly string[] => node.store.read((reader) => reader.list('peer', { limit: 1000 })).map(({ id }) => id)

test('a peer is forgotten once nothing was heard from it for as long as executions are kept, and heard again as a new one', async () => {
  const world = await createSimulation({ nodes: 3, requesterOnly: true, settings: quiet })
  const [requester, one, other] = [world.node(0), world.node(1), world.node(2)]
  const run = async (): Promise<void> => {
    await world.finish(requester, await requester.scheduler.submit(noopJob({ sharding: { count: 8 }, resources: { cpu: 1000 } })))
  }
  await run()
  expect(peersOf(requester)).toEqual([one.id, other.id])
  other.crash()
  // What was heard last counts, also across a restart of who heard it; not what was heard first.
  for (let hours = 0; hours < 36; hours += 6) {
    await world.clock.advance(6 * hour)
    await run()
    if (hours === 12) {
      requester.crash()
      await requester.restart()
    }
  }
  expect(peersOf(requester)).toEqual([one.id])
  expect(peersOf(one)).toEqual([requester.id])
  await other.restart()
  await world.clock.advance(hour)
  await run()
  expect(peersOf(requester)).toEqual([one.id, other.id])
  expect(world.errors).toEqual([])
  await world.stop()
})

test('a peer that has a part in an execution is not forgotten, however long it is silent', () => {
  using store = memoryStateStore()
  const peer = (id: string): Row => ({ kind: 'peer', id, state: 'known', open: true, version: 1, data: { counter: 1, id: '0'.repeat(16), at: 0 } })
  const row = (kind: string, id: string, open: boolean, parent: string, data: Row['data']): Row => ({ kind, id, state: 's', open, parent, version: 1, data })
  const left = (): readonly string[] => store.read((reader) => reader.list('peer', { limit: 100 })).map(({ id }) => id)
  store.transact((transaction) => {
    for (const id of ['asks', 'asked', 'idle', 'runs', 'young']) transaction.put(peer(id))
    transaction.put(row('compute', 'c1', true, 'asks', null))
    transaction.put(row('compute', 'c2', false, 'asked', null))
  })
  const running = new Set(['runs'])
  const forgetter = createPeerForgetter({ keep: day, heardAt: (id) => (id === 'young' ? hour : undefined) })
  const sweep = (at: number): boolean => store.transact((transaction) => forgetter.sweep(transaction, at, 2, running))
  expect([sweep(day), sweep(day), sweep(day)]).toEqual([true, true, false])
  expect(left()).toEqual(['asks', 'runs', 'young'])
  store.transact((transaction) => transaction.put(row('compute', 'c1', false, 'asks', null)))
  running.clear()
  expect([sweep(2 * day), sweep(2 * day)]).toEqual([true, false])
  expect(left()).toEqual([])
})

test('two nodes with one key are told apart although their peer had forgotten them', async () => {
  const clock = virtualClock({ start: 0 })
  using store = memoryStateStore()
  const warned: unknown[] = []
  const logger = { debug: () => {}, info: () => {}, error: () => {}, warn: (message: string) => void warned.push(message) }
  const peers = createPeers({ store, clock, lease: 3000, logger })
  const forgetter = createPeerForgetter({ keep: day, heardAt: peers.heardAt })
  const [older, newer] = [
    { counter: 5, id: 'a'.repeat(16) },
    { counter: 9, id: 'b'.repeat(16) },
  ]
  const hears = (seen: typeof older): void => {
    const row = peers.message('p', seen)
    if (row) store.transact((transaction) => transaction.put(row))
  }
  hears(newer)
  await clock.advance(2 * day)
  store.transact((transaction) => forgetter.sweep(transaction, clock.now(), 100, new Set()))
  expect(store.read((reader) => reader.get('peer', 'p'))).toBeUndefined()
  // The one that was set back speaks first: it is heard, until the other does.
  const again = createPeers({ store, clock, lease: 3000, logger })
  const speak = (seen: typeof older): boolean => again.hint('p', seen)
  expect(speak(older)).toBe(true)
  expect(speak(newer)).toBe(true)
  await clock.advance(3000)
  expect(speak(older)).toBe(false)
  expect(() => again.message('p', older)).toThrow(expect.objectContaining({ code: 'duplicate-identity' }))
  expect(() => again.message('p', { ...newer, id: 'c'.repeat(16) })).toThrow(expect.objectContaining({ code: 'duplicate-identity' }))
  expect(warned).toHaveLength(1)
})
