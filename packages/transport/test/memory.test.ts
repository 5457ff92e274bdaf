import { expect, test } from 'vitest'
import type { Transport } from '../src/index.ts'
import { type MemoryNetworkOptions, memoryNetwork, type PacketRecord, virtualClock } from '../src/memory.ts'

const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.from(values)
const code = (value: string) => expect.objectContaining({ name: 'TransportError', code: value })

const nodes = async (options: Partial<MemoryNetworkOptions> = {}) => {
  const clock = virtualClock()
  const packets: PacketRecord[] = []
  const network = memoryNetwork({ clock, seed: 1, timeout: 1000, observe: (packet) => packets.push(packet), ...options })
  const seen: string[] = []
  const join = async (id: string): Promise<Transport> => {
    const transport = network.join(id)
    await transport.start()
    transport.receive(async (from, messages) => void seen.push(`${from}>${id} ${messages.map((message) => message.join('.')).join(' ')} @${clock.now()}`))
    return transport
  }
  const [a, b, c] = (await Promise.all(['a', 'b', 'c'].map(join))) as [Transport, Transport, Transport]
  return { clock, network, packets, seen, join, a, b, c }
}

/** Settles while the clock runs: what became of it, and when. */
const outcome = (work: Promise<unknown>, now: () => number): Promise<string> =>
  work.then(
    () => `done @${now()}`,
    (error: { code?: string; message: string }) => `${error.code ?? error.message} @${now()}`,
  )

test('a send takes the way there and the acknowledgement back', async () => {
  const { clock, seen, network, a } = await nodes({ latency: 20 })
  network.link('b', 'a', { latency: 5 })
  const sent = outcome(a.send('b', [bytes(1), bytes(2)], {}), clock.now)
  await clock.runUntilIdle()
  expect([await sent, seen]).toEqual(['done @25', ['a>b 1 2 @20']])
  expect(a.peers().find(({ id }) => id === 'b')).toEqual({ id: 'b', connected: true, roundTrip: 25 })
  expect(network.counters('a')).toMatchObject({ sends: 1, messages: 2, packets: 1, bytes: 2, delivered: 1 })
  expect(network.counters()).toMatchObject({ sends: 1, packets: 2, delivered: 2, lost: 0 })
})

test('the same seed gives the same packets to the byte, another one does not', async () => {
  const run = async (seed: number): Promise<string> => {
    const { clock, packets, seen, a, b, c } = await nodes({ seed, latency: 10, jitter: 30, loss: 0.2, duplication: 0.2, reordering: 0.2 })
    b.onHint((_, hint) => seen.push(`hint ${hint[0]} @${clock.now()}`))
    b.serve('p', async function* () {
      for (let index = 0; index < 20; index += 1) yield bytes(index)
    })
    const outcomes: Promise<string>[] = []
    for (let index = 0; index < 50; index += 1) {
      outcomes.push(outcome(a.send('b', [bytes(index)], {}), clock.now), outcome(c.send('a', [bytes(index)], {}), clock.now))
      a.hint('b', bytes(index))
      if (index % 10 === 0)
        outcomes.push(
          outcome(
            (async () => {
              for await (const _ of a.query('b', 'p', bytes(), {}));
            })(),
            clock.now,
          ),
        )
      await clock.advance(3)
    }
    await clock.runUntilIdle()
    return JSON.stringify([packets, seen, await Promise.all(outcomes)])
  }
  const first = await run(7)
  expect(first).toContain('"lost"')
  expect(first).toContain('unreachable @')
  expect(await run(7)).toBe(first)
  expect(await run(8)).not.toBe(first)
})

test('what happens on one link draws no random numbers of another', async () => {
  const arrivals = async (busy: boolean): Promise<string[]> => {
    const { clock, seen, a, c } = await nodes({ latency: 1, jitter: 50, loss: 0.3 })
    for (let index = 0; index < 20; index += 1) {
      void a.send('b', [bytes(index)], {}).catch(() => {})
      if (busy) void c.send('b', [bytes(index)], {}).catch(() => {})
    }
    await clock.runUntilIdle()
    return seen.filter((line) => line.startsWith('a>b'))
  }
  expect(await arrivals(true)).toEqual(await arrivals(false))
})

test('a link keeps the order of sending unless it is told to reorder', async () => {
  const order = async (reordering: number): Promise<number[]> => {
    const { clock, seen, a } = await nodes({ latency: 5, jitter: 50, reordering })
    for (let index = 0; index < 40; index += 1) void a.send('b', [bytes(index)], {})
    await clock.runUntilIdle()
    return seen.map((line) => Number(line.split(' ')[1]))
  }
  const sorted = Array.from({ length: 40 }, (_, index) => index)
  expect(await order(0)).toEqual(sorted)
  const jumbled = await order(0.5)
  expect(jumbled).not.toEqual(sorted)
  expect(jumbled.toSorted((a, b) => a - b)).toEqual(sorted)
})

test('a message that arrives after latency is taken away does not overtake those before it', async () => {
  const { clock, seen, network, a } = await nodes({ latency: 10 })
  void a.send('b', [bytes(1)], {})
  network.configure({ latency: 0 })
  void a.send('b', [bytes(2)], {})
  await clock.runUntilIdle()
  expect(seen).toEqual(['a>b 1 @10', 'a>b 2 @10'])
})

test('a send that is lost, either way, fails as unreachable after the timeout; only the lost acknowledgement was applied', async () => {
  const { clock, seen, network, a } = await nodes({ latency: 1 })
  network.link('a', 'b', { loss: 1 })
  network.link('c', 'a', { loss: 1 })
  const outcomes = [a.send('b', [bytes(1)], {}), a.send('c', [bytes(2)], {})].map((work) => outcome(work, clock.now))
  await clock.runUntilIdle()
  expect(await Promise.all(outcomes)).toEqual(['unreachable @1000', 'unreachable @1000'])
  expect(seen).toEqual(['a>c 2 @1'])
  network.link('a', 'b', undefined)
  await Promise.all([a.send('b', [bytes(3)], {}), clock.advance(10)])
})

test('each of many sends times out at its own time, and an answered one leaves nothing on the clock', async () => {
  const { clock, network, a } = await nodes({ latency: 1 })
  network.block('a', 'b')
  const outcomes: Promise<string>[] = []
  for (const wait of [0, 10, 10, 5]) {
    await clock.advance(wait)
    outcomes.push(outcome(a.send('b', [bytes(1)], {}), clock.now))
  }
  const answered = outcome(a.send('c', [bytes(1)], {}), clock.now)
  await clock.runUntilIdle()
  expect(await Promise.all(outcomes)).toEqual(['unreachable @1000', 'unreachable @1010', 'unreachable @1020', 'unreachable @1025'])
  expect(await answered).toBe('done @27')
  await Promise.all([a.send('c', [bytes(1)], {}), clock.advance(2)])
  expect(clock.waiting).toBe(0)
})

test('a duplicated packet reaches the handler twice and settles the send once, and the two share no memory', async () => {
  const { clock, network, a } = await nodes({ latency: 1, duplication: 1 })
  const transport = network.join('d')
  await transport.start()
  const seen: number[] = []
  transport.receive(async (_, [message]) => {
    seen.push(message?.[0] as number)
    message?.fill(99)
  })
  const sent = outcome(a.send('d', [bytes(7)], {}), clock.now)
  await clock.runUntilIdle()
  expect([await sent, seen]).toEqual(['done @2', [7, 7]])
  expect(network.counters('a')).toMatchObject({ packets: 1, duplicated: 1, delivered: 2 })
})

test('a partition cuts both ways and what is on its way; those in no group stay together; healing mends it', async () => {
  const { clock, network, seen, join, a, b, c } = await nodes({ latency: 10 })
  const d = await join('d')
  const early = outcome(a.send('b', [bytes(1)], {}), clock.now)
  await clock.advance(5)
  network.partition([['a'], ['b']])
  const outcomes = [
    early,
    outcome(b.send('a', [bytes(2)], {}), clock.now),
    outcome(c.send('d', [bytes(3)], {}), clock.now),
    outcome(d.send('a', [bytes(4)], {}), clock.now),
    outcome(a.send('a', [bytes(5)], {}), clock.now),
  ]
  expect(a.peers().map(({ id, connected }) => `${id} ${connected}`)).toEqual(['b false', 'c false', 'd false'])
  await clock.runUntilIdle()
  expect(await Promise.all(outcomes)).toEqual(['unreachable @1000', 'unreachable @1005', 'done @25', 'unreachable @1005', 'done @5'])
  expect(seen).toEqual(['a>a 5 @5', 'c>d 3 @15'])
  network.heal()
  await Promise.all([a.send('b', [bytes(6)], {}), clock.advance(20)])
  expect(() => network.partition([['a'], ['a']])).toThrow('two groups')
})

test('a block cuts one direction, once for each time it was asked for', async () => {
  const { clock, network, seen, a, b } = await nodes()
  const [first, second] = [network.block('a', 'b'), network.block('a', 'b')]
  const there = outcome(a.send('b', [bytes(1)], {}), clock.now)
  const back = outcome(b.send('a', [bytes(2)], {}), clock.now)
  await clock.runUntilIdle()
  expect([await there, await back, seen]).toEqual(['unreachable @1000', 'unreachable @1000', ['b>a 2 @0']])
  first[Symbol.dispose]()
  first[Symbol.dispose]()
  const still = outcome(a.send('b', [bytes(3)], {}), clock.now)
  await clock.runUntilIdle()
  expect(await still).toBe('unreachable @2000')
  second[Symbol.dispose]()
  await a.send('b', [bytes(4)], {})
})

test('a crash is silent: what is on its way vanishes, the dead wait for ever, the living time out, and a restart begins anew', async () => {
  const { clock, network, seen, packets, join, a, b } = await nodes({ latency: 10 })
  const settled: string[] = []
  void b.send('a', [bytes(1)], {}).then(
    () => settled.push('resolved'),
    () => settled.push('rejected'),
  )
  const waiting = outcome(a.send('b', [bytes(2)], {}), clock.now)
  await clock.advance(5)
  network.crash('b')
  network.crash('b')
  const again = await join('b')
  const after = outcome(a.send('b', [bytes(3)], {}), clock.now)
  await clock.runUntilIdle()
  expect([await waiting, await after, settled]).toEqual(['unreachable @1000', 'done @25', []])
  expect(seen).toEqual(['a>b 3 @15'])
  expect(packets.filter(({ fate }) => fate === 'vanished')).toHaveLength(2)
  await expect(b.send('a', [bytes(4)], {})).rejects.toEqual(code('not-started'))
  await expect(b.start()).rejects.toEqual(code('not-started'))
  await Promise.all([again.send('a', [bytes(5)], {}), clock.advance(20)])
  expect(() => network.join('b')).toThrow('has joined already')
  expect(() => network.crash('nobody')).toThrow('never joined')
})

test('an acknowledgement is not sent by a node that crashed while its handler ran', async () => {
  const { clock, network, join, a } = await nodes({ latency: 1 })
  const release = Promise.withResolvers<void>()
  const d = network.join('d')
  await d.start()
  d.receive(() => release.promise)
  const sent = outcome(a.send('d', [bytes(1)], {}), clock.now)
  await clock.advance(2)
  network.crash('d')
  await join('d')
  release.resolve()
  await clock.runUntilIdle()
  expect(await sent).toBe('unreachable @1000')
})

test('each chunk of a query takes its way; a lost one fails the query although more arrive', async () => {
  const { clock, network, a, b } = await nodes({ latency: 10 })
  let ended = ''
  b.serve('p', async function* (_from, _body, { signal }) {
    signal?.addEventListener('abort', () => (ended = `aborted @${clock.now()}`))
    for (let index = 0; index < 40; index += 1) yield bytes(index)
  })
  const times: number[] = []
  const ask = async (): Promise<void> => {
    for await (const _ of a.query('b', 'p', bytes(), {})) {
      times.push(clock.now())
      if (times.length === 5) network.link('b', 'a', { loss: 1 })
    }
  }
  const asked = outcome(ask(), clock.now)
  await clock.runUntilIdle()
  expect(times.slice(0, 5)).toEqual([20, 20, 20, 20, 20])
  expect(await asked).toMatch(/^unreachable @10/)
  expect(ended).toMatch(/^aborted @10/)
})

test('a serving node is never more than a window ahead of a reader that is slow', async () => {
  const { clock, a, b } = await nodes()
  let produced = 0
  b.serve('endless', async function* () {
    for (;;) {
      produced += 1
      yield bytes(produced % 256)
    }
  })
  let taken = 0
  for await (const _ of a.query('b', 'endless', bytes(), {})) {
    taken += 1
    await clock.advance(1)
    expect(produced - taken).toBeLessThanOrEqual(17)
    if (taken === 50) break
  }
  expect(taken).toBe(50)
})

test('a serving handler is ended when the node that asked crashes', async () => {
  const { clock, network, a, b } = await nodes({ latency: 1 })
  const seen: string[] = []
  b.serve('live', async function* (_from, _body, { signal }) {
    yield bytes(1)
    await new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true }))
    seen.push(`ended @${clock.now()}`)
  })
  void (async () => {
    for await (const _ of a.query('b', 'live', bytes(), {})) network.crash('a')
    seen.push('a crashed node went on')
  })()
  await clock.runUntilIdle()
  expect(seen).toEqual(['ended @1002'])
})

test('announcements reach every subscriber but the publisher, and a slow one loses the oldest', async () => {
  const { a, b, c, clock } = await nodes()
  const controller = new AbortController()
  const [atA, atB] = [a, b].map((node) => node.subscribe('t', { signal: controller.signal })) as [AsyncIterable<Uint8Array>, AsyncIterable<Uint8Array>]
  const other = c.subscribe('u', { signal: controller.signal })
  for (let index = 0; index < 1030; index += 1) await a.publish('t', bytes(index >> 8, index & 255))
  await clock.advance(1)
  controller.abort()
  const all = async (stream: AsyncIterable<Uint8Array>): Promise<number[]> => {
    const found: number[] = []
    for await (const [high, low] of stream) found.push((high as number) * 256 + (low as number))
    return found
  }
  expect(await all(atA)).toEqual([])
  expect(await all(other)).toEqual([])
  expect(await all(atB)).toEqual(Array.from({ length: 1024 }, (_, index) => index + 6))
})

test('faults that handlers throw are shown, and stop nothing', async () => {
  const faults: string[] = []
  const { a, b, clock } = await nodes({ onFault: (error, node, handler) => faults.push(`${(error as Error).message} ${node} ${handler}`) })
  b.onHint(() => {
    throw new Error('hint')
  })
  b.serve('p', () => {
    throw new Error('serve')
  })
  a.hint('b', bytes(1))
  const asked = outcome(
    (async () => {
      for await (const _ of a.query('b', 'p', bytes(), {}));
    })(),
    clock.now,
  )
  await clock.advance(1)
  expect([await asked, faults]).toEqual(['refused @0', ['hint b hint', 'serve b serve']])
})

test('options that mean nothing are refused', () => {
  const clock = virtualClock()
  for (const wrong of [{ loss: 2 }, { latency: -1 }, { jitter: NaN }, { timeout: 0 }])
    expect(() => memoryNetwork({ clock, seed: 1, ...wrong })).toThrow(RangeError)
  const network = memoryNetwork({ clock, seed: 1 })
  expect(() => network.configure({ duplication: -1 })).toThrow(RangeError)
  expect(() => network.link('a', 'b', { reordering: 3 })).toThrow(RangeError)
})

test('a thousand nodes with a hundred thousand packets take one process', async () => {
  const clock = virtualClock()
  const network = memoryNetwork({ clock, seed: 3, latency: 10, jitter: 10 })
  const all = Array.from({ length: 1000 }, (_, index) => network.join(`n${index}`))
  let received = 0
  for (const node of all) {
    await node.start()
    node.receive(async (_, messages) => {
      received += messages.length
    })
  }
  const message = new Uint8Array(200)
  const sends: Promise<unknown>[] = []
  for (let round = 0; round < 50; round += 1) {
    for (const [index, node] of all.entries()) sends.push(node.send(`n${(index * 31 + round) % 1000}`, [message], {}))
    await clock.advance(1)
  }
  await clock.runUntilIdle()
  await Promise.all(sends)
  expect(received).toBe(50_000)
  expect(network.counters().packets).toBe(100_000)
})

test('a limited look at peers sees another part of a large network each time, and in the end all of it; the same for the same seed', async () => {
  const look = async (): Promise<{ readonly first: readonly string[]; readonly all: ReadonlySet<string> }> => {
    const { join, a } = await nodes()
    for (let index = 0; index < 97; index += 1) await join(`n${index}`)
    const first = a.peers({ limit: 10 }).map(({ id }) => id)
    const all = new Set(first)
    for (let round = 0; round < 100; round += 1) {
      const ids = a.peers({ limit: 10 }).map(({ id }) => id)
      expect(new Set(ids).size).toBe(10)
      for (const id of ids) all.add(id)
    }
    expect(a.peerCount()).toBe(99)
    return { first, all }
  }
  const one = await look()
  expect(one.all.size).toBe(99)
  expect(one.all.has('a')).toBe(false)
  expect((await look()).first).toEqual(one.first)
})

test('sends with one signal add one listener to it, and leave none behind', async () => {
  const { clock, a } = await nodes({ latency: 5 })
  const controller = new AbortController()
  let added = 0
  let removed = 0
  const { signal } = controller
  const { addEventListener, removeEventListener } = signal
  signal.addEventListener = (...given: Parameters<typeof addEventListener>) => {
    added += 1
    addEventListener.apply(signal, given)
  }
  signal.removeEventListener = (...given: Parameters<typeof removeEventListener>) => {
    removed += 1
    removeEventListener.apply(signal, given)
  }
  const first = Promise.all([a.send('b', [bytes(1)], { signal }), a.send('c', [bytes(1)], { signal })])
  await clock.runUntilIdle()
  await first
  expect([added, removed]).toEqual([1, 1])
  const rest = [a.send('b', [bytes(2)], { signal }), a.send('c', [bytes(2)], { signal })]
  controller.abort(new Error('enough'))
  expect((await Promise.allSettled(rest)).map((one) => one.status === 'rejected' && (one.reason as Error).message)).toEqual(['enough', 'enough'])
})
