import { expect } from 'vitest'
import { defaultDeadline, inTime } from './in-time.ts'
import type { Transport } from './index.ts'

/** Two nodes that can reach each other, both started, without handlers. Disposing ends what `create` began. */
export interface ConformanceNodes extends AsyncDisposable {
  readonly a: Transport
  readonly b: Transport
  /** A third one, not started. */
  readonly idle: Transport
  /** An id of the right form that no node has. */
  readonly unknown: string
  /** Kills `b` without a word to anyone. Drivers that cannot leave it out. */
  crash?(): void | Promise<void>
}

/** What differs between drivers, as data. A capability that is left out skips its cases, visibly. */
export interface ConformanceCapabilities {
  /** The most bytes that one send takes: one more is `too-large`. */
  readonly maxBytes?: number
  /** `publish` and `subscribe` work between the two nodes. */
  readonly topics?: boolean
  /** `create` gives a `crash`. */
  readonly crash?: boolean
  /** Milliseconds that a case may take. Default 30,000. */
  readonly deadline?: number
}

/** One promise of the contract. `run` rejects when the driver breaks it, or has not done with it within the deadline. */
export interface ConformanceCase {
  readonly name: string
  readonly needs?: Exclude<keyof ConformanceCapabilities, 'deadline'>
  run(nodes: ConformanceNodes, capabilities: ConformanceCapabilities): Promise<void>
}

const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.from(values)
const allValues = Uint8Array.from({ length: 256 }, (_, index) => index)
const plain = (items: readonly Uint8Array[]): number[][] => items.map((item) => Array.from(item))

const failure = async (work: Promise<unknown>): Promise<{ readonly name?: string; readonly code?: string }> => {
  try {
    await work
  } catch (error) {
    return error as { name?: string; code?: string }
  }
  throw new Error('this should have failed')
}

const gate = <T = void>() => {
  let open!: (value: T) => void
  const opened = new Promise<T>((resolve) => {
    open = resolve
  })
  return { open, opened }
}

const collect = async (stream: AsyncIterable<Uint8Array>): Promise<number[][]> => {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return plain(chunks)
}

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2))

/** Hints and announcements may be lost: says it again until it is heard. */
const until = async (heard: () => boolean, say: () => void | Promise<void>): Promise<void> => {
  for (let tries = 0; !heard(); tries += 1) {
    if (tries === 3000) throw new Error('said it three thousand times, and it was never heard')
    await say()
    await turn()
  }
}

const cases: readonly ConformanceCase[] = [
  {
    name: 'delivers the messages of one send together, in order, as they are, and says who sent them',
    async run({ a, b }) {
      const seen: unknown[] = []
      b.receive(async (from, messages) => void seen.push([from, plain(messages)]))
      const messages = [allValues, bytes(), bytes(1, 2), bytes(0)]
      await a.send(b.self, messages, {})
      expect(seen).toEqual([[a.self, plain(messages)]])
    },
  },
  {
    name: 'resolves a send only once the handler has',
    async run({ a, b }) {
      const [reached, release] = [gate(), gate()]
      const order: string[] = []
      b.receive(async () => {
        reached.open()
        await release.opened
        order.push('applied')
      })
      const sent = a.send(b.self, [bytes(1)], {}).then(() => order.push('acknowledged'))
      // Awaited later: until then its failure is nobody's.
      sent.catch(() => {})
      await reached.opened
      for (let round = 0; round < 5; round += 1) await turn()
      order.push('released')
      release.open()
      await sent
      expect(order).toEqual(['released', 'applied', 'acknowledged'])
    },
  },
  {
    name: 'lets a node send to itself',
    async run({ a }) {
      const seen: unknown[] = []
      a.receive(async (from, messages) => void seen.push([from, plain(messages)]))
      await a.send(a.self, [bytes(7)], {})
      expect(seen).toEqual([[a.self, [[7]]]])
    },
  },
  {
    name: 'carries many sends at once in both directions, each to its end',
    async run({ a, b }) {
      const seen = { a: new Set<number>(), b: new Set<number>() }
      a.receive(async (_, messages) => messages.forEach((message) => seen.a.add(message[0] as number)))
      b.receive(async (_, messages) => messages.forEach((message) => seen.b.add(message[0] as number)))
      await Promise.all(Array.from({ length: 100 }, (_, index) => [a.send(b.self, [bytes(index)], {}), b.send(a.self, [bytes(index)], {})]).flat())
      expect([seen.a.size, seen.b.size]).toEqual([100, 100])
    },
  },
  {
    name: 'carries a large message whole',
    async run({ a, b }, { maxBytes = 1024 * 1024 }) {
      const large = new Uint8Array(Math.min(maxBytes, 1024 * 1024)).map((_, index) => index % 251)
      const received = gate<Uint8Array>()
      b.receive(async (_, [message]) => received.open(message as Uint8Array))
      await a.send(b.self, [large], {})
      expect(Buffer.compare(Buffer.from(await received.opened), Buffer.from(large))).toBe(0)
    },
  },
  {
    name: 'refuses what is too large, and goes on',
    needs: 'maxBytes',
    async run({ a, b }, { maxBytes = 0 }) {
      let count = 0
      b.receive(async () => {
        count += 1
      })
      expect(await failure(a.send(b.self, [new Uint8Array(maxBytes), bytes(1)], {}))).toMatchObject({ name: 'TransportError', code: 'too-large' })
      await a.send(b.self, [bytes(1)], {})
      expect(count).toBe(1)
    },
  },
  {
    name: 'shares no memory between the nodes',
    async run({ a, b }) {
      const [received, mine] = [gate<Uint8Array>(), bytes(1, 2, 3)]
      b.receive(async (_, [message]) => received.open(message as Uint8Array))
      const sent = a.send(b.self, [mine], {})
      mine.fill(0)
      await sent
      const theirs = await received.opened
      expect(Array.from(theirs)).toEqual([1, 2, 3])
      theirs.fill(9)
      expect(Array.from(mine)).toEqual([0, 0, 0])
    },
  },
  {
    name: 'fails a send whose handler fails, as refused, and goes on',
    async run({ a, b }) {
      let count = 0
      b.receive(async () => {
        count += 1
        if (count === 1) throw new Error('on purpose')
      })
      expect(await failure(a.send(b.self, [bytes(1)], {}))).toMatchObject({ name: 'TransportError', code: 'refused' })
      await a.send(b.self, [bytes(1)], {})
      expect(count).toBe(2)
    },
  },
  {
    name: 'brings back to the sender what the handler refused, by its index, and nothing where it refused nothing',
    async run({ a, b }) {
      b.receive(async (_, messages) =>
        messages.flatMap(([first], index) => (first === 0 ? [{ index, code: 'bad-message', reason: `message ${index} is bad` }] : [])),
      )
      expect(await a.send(b.self, [bytes(1), bytes(0), bytes(2), bytes(0)], {})).toEqual([
        { index: 1, code: 'bad-message', reason: 'message 1 is bad' },
        { index: 3, code: 'bad-message', reason: 'message 3 is bad' },
      ])
      expect(await a.send(b.self, [bytes(1)], {})).toEqual([])
      a.receive(async () => {})
      expect(await b.send(a.self, [bytes(0)], {})).toEqual([])
      expect(await b.send(b.self, [bytes(0)], {})).toEqual([{ index: 0, code: 'bad-message', reason: 'message 0 is bad' }])
    },
  },
  {
    name: 'bounds what a handler refused: one for each message that was sent, texts cut to their lengths',
    async run({ a, b }) {
      b.receive(async () => [
        { index: 2, code: 'none', reason: 'no such message' },
        { index: -1, code: 'none', reason: 'no such message' },
        { index: 1, code: 'c'.repeat(100), reason: 'r'.repeat(1000) },
        { index: 0, code: 'first', reason: '' },
        { index: 0, code: 'second', reason: '' },
      ])
      expect(await a.send(b.self, [bytes(1), bytes(2)], {})).toEqual([
        { index: 0, code: 'first', reason: '' },
        { index: 1, code: 'c'.repeat(64), reason: 'r'.repeat(256) },
      ])
    },
  },
  {
    name: 'has one receive handler at a time; without one a send fails',
    async run({ a, b }) {
      expect(await failure(a.send(b.self, [bytes(1)], {}))).toMatchObject({ name: 'TransportError', code: 'no-handler' })
      const first = b.receive(async () => {})
      expect(() => b.receive(async () => {})).toThrow()
      await a.send(b.self, [bytes(1)], {})
      first[Symbol.dispose]()
      expect(await failure(a.send(b.self, [bytes(1)], {}))).toMatchObject({ code: 'no-handler' })
      let count = 0
      b.receive(async () => {
        count += 1
      })
      first[Symbol.dispose]()
      await a.send(b.self, [bytes(1)], {})
      expect(count).toBe(1)
    },
  },
  {
    name: 'fails a send to a node that nobody knows',
    async run({ a, unknown }) {
      const error = await failure(a.send(unknown, [bytes(1)], {}))
      expect(error.name).toBe('TransportError')
      expect(['unknown-peer', 'unreachable']).toContain(error.code)
    },
  },
  {
    name: 'fails a send and a query to a node that was disposed',
    async run({ a, b }) {
      b.receive(async () => {})
      await a.send(b.self, [bytes(1)], {})
      await b[Symbol.asyncDispose]()
      for (const error of [await failure(a.send(b.self, [bytes(1)], {})), await failure(collect(a.query(b.self, 'p', bytes(), {})))]) {
        expect(error.name).toBe('TransportError')
        expect(['unknown-peer', 'unreachable']).toContain(error.code)
      }
    },
  },
  {
    name: 'does nothing before start and after disposal, which may be repeated',
    async run({ a, b, idle }) {
      b.receive(async () => {})
      expect(await failure(idle.send(b.self, [bytes(1)], {}))).toMatchObject({ name: 'TransportError', code: 'not-started' })
      expect(await failure(collect(idle.query(b.self, 'p', bytes(), {})))).toMatchObject({ code: 'not-started' })
      await a[Symbol.asyncDispose]()
      await a[Symbol.asyncDispose]()
      expect(await failure(a.send(b.self, [bytes(1)], {}))).toMatchObject({ code: 'not-started' })
      expect(() => a.hint(b.self, bytes(1))).not.toThrow()
    },
  },
  {
    name: 'honours a signal that is aborted already before anything is sent',
    async run({ a, b }) {
      const seen: number[] = []
      b.receive(async (_, [message]) => void seen.push(message?.[0] as number))
      const signal = AbortSignal.abort(new Error('stop'))
      await failure(a.send(b.self, [bytes(1)], { signal }))
      await failure(collect(a.query(b.self, 'p', bytes(), { signal })))
      await a.send(b.self, [bytes(2)], {})
      expect(seen).toEqual([2])
    },
  },
  {
    name: 'ends a send that waits when its signal is aborted',
    async run({ a, b }) {
      const [reached, release] = [gate(), gate()]
      b.receive(async () => {
        reached.open()
        await release.opened
      })
      const controller = new AbortController()
      // A caller has listeners of its own: a driver may not rely on being the first.
      controller.signal.addEventListener('abort', () => {})
      const sent = failure(a.send(b.self, [bytes(1)], { signal: controller.signal }))
      sent.catch(() => {})
      await reached.opened
      controller.abort(new Error('stop'))
      expect(await sent).toMatchObject({ message: 'stop' })
      release.open()
    },
  },
  {
    name: 'delivers hints, and survives a handler that throws',
    async run({ a, b, unknown }) {
      const seen: unknown[] = []
      b.onHint((from, hint) => {
        seen.push([from, Array.from(hint)])
        throw new Error('on purpose')
      })
      a.hint(unknown, bytes(1))
      await until(
        () => seen.length >= 2,
        () => a.hint(b.self, bytes(4, 5)),
      )
      expect(seen.slice(0, 2)).toEqual([
        [a.self, [4, 5]],
        [a.self, [4, 5]],
      ])
    },
  },
  {
    name: 'streams the answer to a query in order, and tells the handler who asks what',
    async run({ a, b }) {
      const asked: unknown[] = []
      b.serve('count', async function* (from, body) {
        asked.push([from, Array.from(body)])
        for (let index = 0; index < 200; index += 1) yield bytes(index, ...body)
      })
      b.serve('empty', async function* () {})
      b.serve('edges', async function* () {
        yield bytes()
        yield allValues
        yield bytes()
      })
      expect(await collect(a.query(b.self, 'count', bytes(8, 9), {}))).toEqual(Array.from({ length: 200 }, (_, index) => [index, 8, 9]))
      expect(asked).toEqual([[a.self, [8, 9]]])
      expect(await collect(a.query(b.self, 'empty', bytes(), {}))).toEqual([])
      expect(await collect(a.query(b.self, 'edges', bytes(), {}))).toEqual([[], Array.from(allValues), []])
    },
  },
  {
    name: 'keeps queries that run at once apart',
    async run({ a, b }) {
      b.serve('echo', async function* (_, body) {
        for (let index = 0; index < 10; index += 1) {
          await turn()
          yield bytes(...body, index)
        }
      })
      const answers = await Promise.all(Array.from({ length: 10 }, (_, query) => collect(a.query(b.self, 'echo', bytes(query), {}))))
      expect(answers).toEqual(Array.from({ length: 10 }, (_, query) => Array.from({ length: 10 }, (_, index) => [query, index])))
    },
  },
  {
    name: 'serves a protocol once, until it is disposed',
    async run({ a, b }) {
      expect(await failure(collect(a.query(b.self, 'p', bytes(), {})))).toMatchObject({ name: 'TransportError', code: 'no-handler' })
      const served = b.serve('p', async function* () {
        yield bytes(1)
      })
      expect(() => b.serve('p', async function* () {})).toThrow()
      expect(await collect(a.query(b.self, 'p', bytes(), {}))).toEqual([[1]])
      expect(await failure(collect(a.query(b.self, 'q', bytes(), {})))).toMatchObject({ code: 'no-handler' })
      served[Symbol.dispose]()
      expect(await failure(collect(a.query(b.self, 'p', bytes(), {})))).toMatchObject({ code: 'no-handler' })
    },
  },
  {
    name: 'gives the chunks before a handler failed, and then fails the query as refused',
    async run({ a, b }) {
      b.serve('fails', async function* () {
        yield bytes(1)
        yield bytes(2)
        throw new Error('on purpose')
      })
      const seen: number[] = []
      const error = await failure(
        (async () => {
          for await (const chunk of a.query(b.self, 'fails', bytes(), {})) seen.push(chunk[0] as number)
        })(),
      )
      expect(seen).toEqual([1, 2])
      expect(error).toMatchObject({ name: 'TransportError', code: 'refused' })
    },
  },
  {
    name: 'tells the serving handler when the query is left early, or its signal is aborted',
    async run({ a, b }) {
      for (const leave of ['break', 'abort'] as const) {
        const ended = gate()
        const served = b.serve('live', async function* (_from, _body, { signal }) {
          signal?.addEventListener('abort', () => ended.open(), { once: true })
          yield bytes(1)
          await ended.opened
        })
        const controller = new AbortController()
        const asked = (async () => {
          for await (const _ of a.query(b.self, 'live', bytes(), { signal: controller.signal })) {
            if (leave === 'break') break
            controller.abort(new Error('stop'))
          }
        })()
        if (leave === 'break') await asked
        else await failure(asked)
        await ended.opened
        served[Symbol.dispose]()
      }
    },
  },
  {
    name: 'fails a query whose node is disposed on the way',
    async run({ a, b }) {
      const never = gate()
      b.serve('live', async function* (_from, _body, { signal }) {
        yield bytes(1)
        signal?.addEventListener('abort', () => never.open(), { once: true })
        await never.opened
      })
      const error = await failure(
        (async () => {
          for await (const _ of a.query(b.self, 'live', bytes(), {})) await b[Symbol.asyncDispose]()
        })(),
      )
      expect(error).toMatchObject({ name: 'TransportError', code: 'unreachable' })
    },
  },
  {
    name: 'fails a send and a query whose node crashes on the way, as unreachable',
    needs: 'crash',
    async run({ a, b, crash }) {
      const [reached, never] = [gate(), gate()]
      b.receive(async () => {
        reached.open()
        await never.opened
      })
      b.serve('live', async function* () {
        yield bytes(1)
        await never.opened
      })
      const sent = failure(a.send(b.self, [bytes(1)], {}))
      sent.catch(() => {})
      await reached.opened
      const asked = failure(
        (async () => {
          for await (const _ of a.query(b.self, 'live', bytes(), {})) await crash?.()
        })(),
      )
      expect(await asked).toMatchObject({ name: 'TransportError', code: 'unreachable' })
      expect(await sent).toMatchObject({ name: 'TransportError', code: 'unreachable' })
    },
  },
  {
    name: 'brings what is published to the subscribers of the topic, until their signal is aborted',
    needs: 'topics',
    async run({ a, b }) {
      const controller = new AbortController()
      const seen: number[] = []
      let ended = false
      const listening = (async () => {
        for await (const announcement of b.subscribe('nodes', { signal: controller.signal })) seen.push(announcement[0] as number)
      })().catch(() => {})
      void listening.then(() => {
        ended = true
      })
      await until(
        () => seen.length > 0,
        async () => {
          await a.publish('other', bytes(2))
          await a.publish('nodes', bytes(1))
        },
      )
      expect(ended).toBe(false)
      controller.abort()
      await listening
      expect(new Set(seen)).toEqual(new Set([1]))
    },
  },
  {
    name: 'shows a connected peer, and not itself',
    async run({ a, b }) {
      b.receive(async () => {})
      await a.send(b.self, [bytes(1)], {})
      const peers = a.peers()
      expect(peers.find(({ id }) => id === b.self)?.connected).toBe(true)
      expect(peers.some(({ id }) => id === a.self)).toBe(false)
      expect(a.peer(b.self)).toMatchObject({ id: b.self, connected: true })
      expect(a.peer(a.self)).toBeUndefined()
    },
  },
  {
    name: 'shows no more peers than it is asked for',
    async run({ a, b, unknown }) {
      b.receive(async () => {})
      await a.send(b.self, [bytes(1)], {})
      const all = a.peers()
      expect(a.peerCount()).toBe(all.length)
      expect(a.peers({ limit: 0 })).toEqual([])
      expect(a.peers({ limit: 1 })).toHaveLength(1)
      expect(a.peers({ limit: all.length + 1 }).map(({ id }) => id)).toEqual(all.map(({ id }) => id))
      expect(a.peer(unknown)).toBeUndefined()
    },
  },
]

export const transportCases: readonly ConformanceCase[] = cases.map(({ run, ...rest }) => ({
  ...rest,
  run: (nodes, capabilities) => inTime(rest.name, capabilities.deadline ?? defaultDeadline, run(nodes, capabilities)),
}))
