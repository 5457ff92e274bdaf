import { cidOf, type Task } from '@skrei/job-spec'
import { type AnyMessage, decodeMessage, encodeMessage } from '@skrei/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createAskQueue, type Group, type WaitingAsk } from '../src/compute/queue.ts'
import { createReservations } from '../src/compute/reservations.ts'
import { defaultSettings } from '../src/settings.ts'
import { createSimulation, type Simulation, type SimulationOptions } from '../src/simulation/simulation.ts'
import { quiet, watchInvariants } from './invariants.ts'
import { noopJob } from './noop-job.ts'

const all: Group = { name: 'all', weight: 1 }
const resources = (cpu: number): Task['resources'] => ({ cpu, memory: 1, disk: 1, gpu: { count: 0 } })
const ask = (requester: string, id: string, cost = 0.25, group = all): WaitingAsk => ({
  id,
  requester,
  group,
  cost,
  resources: resources(cost * 1000),
  bypassed: 0,
})

type Queue = ReturnType<typeof createAskQueue>
const first = (queue: Queue): WaitingAsk | undefined => {
  for (const { next } of queue.requesters()) for (const one of next()) return one
  return undefined
}
const serve = (queue: Queue): WaitingAsk | undefined => {
  const next = first(queue)
  if (next === undefined) return undefined
  queue.remove(next.id)
  queue.charge(next.requester, next.group, next.cost)
  return next
}
const served = (queue: Queue, count: number): readonly string[] => Array.from({ length: count }, () => serve(queue)?.id ?? '')

describe('the queue of asks', () => {
  test('requesters take turns: one with many asks does not starve another with one', () => {
    const queue = createAskQueue()
    for (let index = 0; index < 10_000; index++) queue.add(ask('greedy', `g${index}`))
    queue.add(ask('modest', 'm0'))
    expect(served(queue, 4)).toEqual(['g0', 'm0', 'g1', 'g2'])
  })

  test('turns are counted by what an ask takes of the node, not by asks', () => {
    const queue = createAskQueue()
    for (let index = 0; index < 9; index++) queue.add(ask('small', `s${index}`, 0.125))
    for (let index = 0; index < 3; index++) queue.add(ask('large', `l${index}`, 0.375))
    expect(served(queue, 9)).toEqual(['s0', 'l0', 's1', 's2', 'l1', 's3', 's4', 's5', 'l2'])
  })

  test('groups share by their weight, however many there are in each', () => {
    const queue = createAskQueue()
    const [one, two] = [
      { name: 'one', weight: 1 },
      { name: 'two', weight: 2 },
    ]
    for (let index = 0; index < 300; index++) {
      queue.add(ask(`a${index % 3}`, `a ${index}`, 0.25, one))
      queue.add(ask('b', `b ${index}`, 0.25, two))
    }
    const ofTwo = served(queue, 300).filter((id) => id.startsWith('b')).length
    expect(ofTwo).toBeGreaterThanOrEqual(199)
    expect(ofTwo).toBeLessThanOrEqual(201)
  })

  test('an ask that is withdrawn costs its requester no turn, and a requester that comes back gains none', () => {
    const queue = createAskQueue()
    for (const id of ['a0', 'a1']) queue.add(ask('a', id))
    for (const id of ['b0', 'b1', 'b2']) queue.add(ask('b', id))
    queue.remove('a0')
    expect(served(queue, 1)).toEqual(['a1'])
    queue.add(ask('a', 'a2'))
    expect(served(queue, 3)).toEqual(['b0', 'a2', 'b1'])
  })

  test('who withdraws and asks again keeps what it was served', () => {
    const queue = createAskQueue()
    for (const id of ['a0', 'a1']) queue.add(ask('a', id, 0.5))
    for (const id of ['b0', 'b1', 'b2']) queue.add(ask('b', id))
    expect(served(queue, 1)).toEqual(['a0'])
    queue.remove('a1')
    queue.add(ask('a', 'a2', 0.5))
    expect(served(queue, 4)).toEqual(['b0', 'b1', 'a2', 'b2'])
  })

  test('of one requester, the first ask of every other shape is a choice too', () => {
    const queue = createAskQueue()
    for (const [id, cost] of [
      ['x0', 0.5],
      ['x1', 0.5],
      ['y0', 0.1],
      ['y1', 0.1],
    ] as const)
      queue.add(ask('a', id, cost))
    const [line] = queue.requesters()
    expect([...(line?.next() ?? [])].map(({ id }) => id)).toEqual(['x0', 'y0'])
  })

  test('it agrees with a list of asks, whatever comes and goes, and while they wait requesters are served within one ask of each other', () => {
    const names = ['a', 'b', 'c', 'd']
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ do: fc.constant('add' as const), who: fc.constantFrom(...names), cost: fc.integer({ min: 1, max: 100 }) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('serve' as const) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('withdraw' as const), at: fc.nat(1000) }) },
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const queue = createAskQueue()
        let model: WaitingAsk[] = []
        // For each two that both wait, what each was served since the later of them came to wait.
        const since = new Map<string, Map<string, number>>()
        steps.forEach((one, index) => {
          if (one.do === 'add') {
            const added = ask(one.who, `${one.who} ${index}`, one.cost / 100)
            if (!model.some(({ requester }) => requester === one.who)) for (const name of names) since.set([one.who, name].sort().join(), new Map())
            model.push(added)
            queue.add(added)
          }
          if (one.do === 'withdraw' && model.length > 0) {
            const gone = model[one.at % model.length] as WaitingAsk
            model = model.filter((other) => other !== gone)
            queue.remove(gone.id)
          }
          if (one.do === 'serve') {
            const next = serve(queue)
            expect(next).toBe(model.find(({ requester }) => requester === next?.requester))
            expect(next === undefined).toBe(model.length === 0)
            model = model.filter((other) => other !== next)
            for (const name of names) {
              const pair = next && since.get([next.requester, name].sort().join())
              if (next && pair) pair.set(next.requester, (pair.get(next.requester) ?? 0) + next.cost)
            }
          }
          expect(queue.size).toBe(model.length)
          for (const name of names) expect(queue.sizeOf(name)).toBe(model.filter(({ requester }) => requester === name).length)
          const backlogged = names.filter((name) => queue.sizeOf(name) > 0)
          for (const x of backlogged)
            for (const y of backlogged) {
              const pair = since.get([x, y].sort().join())
              if (x < y && pair) expect(Math.abs((pair.get(x) ?? 0) - (pair.get(y) ?? 0))).toBeLessThanOrEqual(2 + 1e-9)
            }
        })
      }),
    )
  })

  test('a choice costs the same however many wait', () => {
    const queue = createAskQueue()
    for (let index = 0; index < 10_000; index++) queue.add(ask('greedy', `g${index}`, 0.25))
    const [line] = queue.requesters()
    expect([...(line?.next() ?? [])]).toHaveLength(1)
    for (let index = 0; index < 10_000; index++) queue.add(ask('shapes', `s${index}`, 1 / (index + 1)))
    for (const { next } of queue.requesters()) expect([...next()].length).toBeLessThanOrEqual(9)
  })
})

describe('bids that come to nothing', () => {
  const settings = { ...defaultSettings, lapses: 8 }
  const create = () => {
    const at = { now: 0 }
    return { at, reservations: createReservations({ settings, now: () => at.now, random: () => 1 }) }
  }
  type Created = ReturnType<typeof create>
  const bid = ({ at, reservations }: Created, how: 'awarded' | 'released' | 'expired', held: number, requester = 'r'): void => {
    reservations.opened(requester, 'x', 0.25, at.now)
    at.now += held
    reservations.ended(requester, 'x', how, at.now)
  }

  test('a requester that asks three nodes for each shard, and awards one, never waits', () => {
    const created = create()
    for (let shard = 0; shard < 1000; shard++) {
      for (const how of ['released', 'released', 'awarded'] as const) bid(created, how, 200)
      expect(created.reservations.pause('r')).toBe(0)
    }
  })

  test('one that lets them all lapse waits, longer each time and bounded, and an honest one beside it does not', () => {
    const created = create()
    const pauses: number[] = []
    for (let index = 0; index < 200; index++) {
      created.reservations.opened('r', 'x', 0.25, created.at.now)
      created.reservations.ended('r', 'x', 'expired', created.at.now)
      const pause = created.reservations.pause('r')
      if (pause > 0) pauses.push(pause)
      created.at.now += pause
    }
    expect(pauses.slice(0, 4)).toEqual([1000, 2000, 4000, 8000])
    expect(Math.max(...pauses)).toBe(settings.longestRetryAfter)
    expect(created.reservations.pause('other')).toBe(0)
  })

  test('all that lapse at once are one offence, and what is past fades', () => {
    const created = create()
    for (let index = 0; index < 100; index++) created.reservations.opened('r', String(index), 0.01, 0)
    expect(created.reservations.held('r')).toEqual({ count: 100, share: expect.closeTo(1) })
    for (let index = 0; index < 100; index++) created.reservations.ended('r', String(index), 'expired', 0)
    expect(created.reservations.pause('r')).toBe(1000)
    expect(created.reservations.held('r')).toEqual({ count: 0, share: 0 })
    created.at.now = 3_600_000
    bid(created, 'expired', 0)
    expect(created.reservations.pause('r')).toBe(0)
  })

  test('however many requesters there are, a bounded number is remembered', () => {
    const created = create()
    for (let index = 0; index < 10; index++) bid(created, 'expired', 0, 'first')
    expect(created.reservations.pause('first')).toBeGreaterThan(0)
    for (let index = 0; index < 1024; index++) bid(created, 'expired', 0, `r${index}`)
    expect(created.reservations.pause('first')).toBe(0)
  })
})

/** Nodes 1 and 2 ask node 0, which alone has the engine. */
const threeNodes = (options: Partial<SimulationOptions> = {}): Promise<Simulation> =>
  createSimulation({ nodes: 3, capacity: { cpu: 1000 }, engines: (index) => (index === 0 ? ['noop'] : ['other']), ...options })

const states = (world: Simulation, state: string) => world.node(0).store.read((reader) => reader.list('compute', { state, open: true, limit: 100_000 }))

describe('a node that many ask', () => {
  test('one requester with thousands of shards does not starve another with one', async () => {
    const world = await threeNodes({ settings: { window: 1000 } })
    const greedy = await world.node(1).scheduler.submit(noopJob({ sharding: { count: 10_000 }, resources: { cpu: 500 }, timeouts: { queue: 3_600_000 } }))
    await world.clock.advance(10_000)
    expect(states(world, 'queued').length).toBeGreaterThan(900)
    const before = world.clock.now()
    const modest = await world.node(2).scheduler.submit(noopJob({ resources: { cpu: 500 } }))
    expect(await world.finish(world.node(2), modest, 20_000)).toBe('completed')
    expect(world.clock.now() - before).toBeLessThan(5000)
    await world.node(1).scheduler.cancel(greedy)
    await world.finish(world.node(1), greedy)
    await world.stop()
  })

  test('a large ask is passed a bounded number of times, is served then, and the count survives a restart', async () => {
    const world = await threeNodes({ settings: { bypasses: 3 } })
    const invariants = watchInvariants(world)
    const small = await world.node(1).scheduler.submit(noopJob({ sharding: { count: 60 }, resources: { cpu: 500 }, timeouts: { queue: 3_600_000 } }))
    await world.clock.advance(1500)
    const large = await world.node(2).scheduler.submit(noopJob({ resources: { cpu: 1000 }, timeouts: { queue: 3_600_000 } }))
    const bypassed = (): number => Math.max(0, ...states(world, 'queued').map(({ data }) => (data as unknown as { readonly bypassed?: number }).bypassed ?? 0))
    while (bypassed() < 2) await world.clock.advance(20)
    world.node(0).crash()
    await world.node(0).restart()
    expect(bypassed()).toBeGreaterThanOrEqual(2)
    expect(await world.finish(world.node(2), large, 60_000)).toBe('completed')
    expect(world.node(1).scheduler.job(small)?.open).toBe(true)
    expect(await world.finish(world.node(1), small)).toBe('completed')
    invariants.checkAll()
    await world.clock.advance(7_200_000)
    expect(quiet(world)).toEqual([])
    await world.stop()
  })

  test('over-subscription, where the operator wants it, lets more run than there is; a single task is never larger than the node', async () => {
    const world = await threeNodes({ compute: { overSubscription: { cpu: 2 } } })
    const invariants = watchInvariants(world)
    const job = await world.node(1).scheduler.submit(noopJob({ sharding: { count: 4 }, resources: { cpu: 500 }, engine: { type: 'noop', duration: 5000 } }))
    await world.clock.advance(3000)
    expect(world.node(0).running.size).toBe(4)
    expect(await world.finish(world.node(1), job)).toBe('completed')
    const large = await world.node(1).scheduler.submit(noopJob({ resources: { cpu: 1001 } }))
    await world.clock.advance(60_000)
    expect(await world.finish(world.node(1), large)).toBe('failed')
    invariants.checkAll()
    await world.stop()
  })

  test('who is sent away is told when to ask again, and does not ask before', async () => {
    const world = await threeNodes({ settings: { queue: 0, longestRetryAfter: 10_000, retryAfter: 5000 } })
    const long = await world.node(1).scheduler.submit(noopJob({ sharding: { count: 1 }, resources: { cpu: 1000 }, engine: { type: 'noop', duration: 30_000 } }))
    await world.clock.advance(1000)
    const asks: number[] = []
    world.onEvent = (node, event) => {
      if (node.id === world.node(0).id && event.type === 'transition' && event.transition.to === 'declined') asks.push(world.clock.now())
    }
    const waiting = await world.node(2).scheduler.submit(noopJob({ resources: { cpu: 1000 } }))
    await world.clock.advance(25_000)
    const gaps = asks.slice(1).map((at, index) => at - (asks[index] ?? 0))
    expect(asks.length).toBeGreaterThan(1)
    // Looked at every 5 s, each answer was between 5 and 7.5 s: honoured, an ask comes every other look.
    for (const gap of gaps) expect(gap).toBeGreaterThan(9000)
    expect(await world.finish(world.node(1), long)).toBe('completed')
    expect(await world.finish(world.node(2), waiting)).toBe('completed')
    await world.stop()
  })

  test('work that waits starts in the turn in which capacity becomes free', async () => {
    const world = await threeNodes()
    const job = await world.node(1).scheduler.submit(noopJob({ sharding: { count: 3 }, resources: { cpu: 1000 } }))
    expect(await world.finish(world.node(1), job)).toBe('completed')
    const node = world.node(0)
    const entries = node.store.read((reader) =>
      reader
        .list('compute', { limit: 100 })
        .flatMap(({ id }) =>
          reader.history('compute', id, 0, 100).map(({ sequence, at, data }) => ({ sequence, at, ...(data as { to?: string; from?: string }) })),
        ),
    )
    const freed = entries.filter(({ from, to }) => from === 'running' && to === 'finished').sort((one, other) => one.sequence - other.sequence)
    const taken = entries.filter(({ from, to }) => from === 'queued' && to === 'reserved').sort((one, other) => one.sequence - other.sequence)
    expect(taken).toHaveLength(2)
    expect(taken.map(({ at, sequence }) => [at, sequence])).toEqual(freed.slice(0, 2).map(({ at, sequence }) => [at, sequence + 1]))
    await world.stop()
  })

  test('what was kept free for an ask that is withdrawn goes to the next at once', async () => {
    const world = await threeNodes({ settings: { bypasses: 0 } })
    const long = await world.node(1).scheduler.submit(noopJob({ resources: { cpu: 500 }, engine: { type: 'noop', duration: 60_000 } }))
    await world.clock.advance(1000)
    const large = await world.node(2).scheduler.submit(noopJob({ resources: { cpu: 1000 } }))
    await world.clock.advance(1000)
    const small = await world.node(1).scheduler.submit(noopJob({ resources: { cpu: 500 } }))
    await world.clock.advance(5000)
    expect(states(world, 'queued')).toHaveLength(2)
    await world.node(2).scheduler.cancel(large)
    expect(await world.finish(world.node(1), small, 10_000)).toBe('completed')
    expect(world.node(1).scheduler.job(long)?.open).toBe(true)
    await world.stop()
  })

  test('a requester that lets its bids lapse is told to come back later, and others get the node', async () => {
    const world = await threeNodes({ settings: { lapses: 4, bidTtl: 1000 } })
    const transport = world.network.join('idler')
    await transport.start()
    const got: AnyMessage[] = []
    transport.receive(async (from, frame) => {
      for (const bytes of frame) got.push(decodeMessage(bytes, { network: 'test', self: 'idler', from, check: () => true, verified: () => false }))
    })
    const task = {
      specCid: 'b',
      engine: { type: 'noop' },
      env: {},
      outputs: [],
      resources: { cpu: 100, memory: 1, disk: 1, gpu: { count: 0 } },
      limits: { stdout: 1, stderr: 1, files: 1 },
      network: { mode: 'none' },
      timeout: 1000,
    }
    const terms = { queue: 60_000, lease: null, publishers: [{ type: 'none' }], verification: 'none', constraints: [], publish: 1000, retention: 1000 }
    const to = world.node(0).id
    for (let index = 0; index < 8; index++) {
      const body = { askId: `a/${index}`, job: 'a', task, shard: { index, count: 9, manifest: cidOf([]), files: [] }, terms }
      const message = { network: 'test', from: 'idler', to, incarnation: { counter: 1, id: '1'.repeat(16) }, type: 'ask', body }
      const sent = transport.send(to, [encodeMessage(message as never, () => new Uint8Array(64))], {})
      await world.clock.advance(index < 5 ? 0 : 1100)
      await sent
      if (index === 4) await world.clock.advance(1100)
    }
    expect(got.filter(({ type }) => type === 'bid').length).toBeLessThan(8)
    const declines = got.filter((message) => message.type === 'decline')
    // Others say that a bid has expired: this one comes while the node has all of its room.
    expect(declines.map(({ body }) => body)).toContainEqual(
      expect.objectContaining({
        refusals: [expect.objectContaining({ code: 'busy' })],
        free: expect.objectContaining({ cpu: 1000 }),
        retryAfter: expect.any(Number),
      }),
    )
    const job = await world.node(1).scheduler.submit(noopJob({ resources: { cpu: 1000 } }))
    expect(await world.finish(world.node(1), job, 20_000)).toBe('completed')
    await world.stop()
    await transport[Symbol.asyncDispose]()
  })
})
