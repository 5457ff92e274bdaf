import { expect, test } from 'vitest'
import { type ConformanceNodes, transportCases } from '../src/conformance.ts'
import type { Transport } from '../src/index.ts'
import { capabilities, memoryNodes } from './nodes.ts'

// A conformance suite is worth what it catches: each of these drivers breaks one promise, and some case must fail on it (or never end).

type Break = (transport: Transport) => Partial<Transport>

const breaking = (change: Break) => async (): Promise<ConformanceNodes> => {
  const nodes = await memoryNodes()()
  const broken = (transport: Transport): Transport => ({ ...transport, ...change(transport) })
  return { ...nodes, a: broken(nodes.a), b: broken(nodes.b), idle: broken(nodes.idle) }
}

const swallow = (work: Promise<unknown>, codes: readonly string[]): Promise<void> =>
  work.then(
    () => {},
    (error: { code?: string }) => {
      if (!codes.includes(error.code ?? '')) throw error
    },
  )

const broken: Readonly<Record<string, Break>> = {
  'send does not wait for the handler': (t) => ({
    send: async (...args) => {
      void t.send(...args).catch(() => {})
    },
  }),
  'send says nothing of a failed handler': (t) => ({ send: (...args) => swallow(t.send(...args), ['refused']) }),
  'send says nothing of a missing handler': (t) => ({ send: (...args) => swallow(t.send(...args), ['no-handler']) }),
  'send says nothing of an unreachable node': (t) => ({ send: (...args) => swallow(t.send(...args), ['unreachable']) }),
  'send says nothing of an unknown node': (t) => ({ send: (...args) => swallow(t.send(...args), ['unknown-peer']) }),
  'send says nothing before start': (t) => ({ send: (...args) => swallow(t.send(...args), ['not-started']) }),
  'send takes what is too large': (t) => ({ send: (...args) => swallow(t.send(...args), ['too-large']) }),
  'send ignores the signal': (t) => ({ send: (to, messages) => t.send(to, messages, {}) }),
  'messages of a send arrive one by one': (t) => ({
    send: async (to, messages, options) => {
      for (const message of messages) await t.send(to, [message], options)
    },
  }),
  'messages of a send arrive in reverse': (t) => ({ send: (to, messages, options) => t.send(to, messages.toReversed(), options) }),
  'empty messages are dropped': (t) => ({
    send: (to, messages, options) =>
      t.send(
        to,
        messages.filter(({ length }) => length > 0),
        options,
      ),
  }),
  'the sender is not named': (t) => ({ receive: (handler) => t.receive((_, messages) => handler('somebody', messages)) }),
  'a handler replaces the one before': (t) => {
    let last: Disposable | undefined
    return {
      receive: (handler) => {
        last?.[Symbol.dispose]()
        last = t.receive(handler)
        return last
      },
    }
  },
  'a handler is never gone': (t) => ({
    receive: (handler) => {
      t.receive(handler)
      return { [Symbol.dispose]: () => {} }
    },
  }),
  'hints never arrive': () => ({ hint: () => {} }),
  'hints throw when nobody is there': (t) => ({
    hint: (to, bytes) => {
      if (!t.peers().some(({ id }) => id === to)) throw new Error('nobody')
      t.hint(to, bytes)
    },
  }),
  'query loses a chunk': (t) => ({
    async *query(...args) {
      let count = 0
      for await (const chunk of t.query(...args)) {
        count += 1
        if (count !== 17) yield chunk
      }
    },
  }),
  'query ends quietly when it fails': (t) => ({
    async *query(...args) {
      try {
        yield* t.query(...args)
      } catch {}
    },
  }),
  'query ignores the signal': (t) => ({ query: (to, protocol, body) => t.query(to, protocol, body, {}) }),
  'query reads on when it is left': (t) => ({
    async *query(...args) {
      const chunks = t.query(...args)[Symbol.asyncIterator]()
      for (;;) {
        const { done, value } = await chunks.next()
        if (done) return
        yield value
      }
    },
  }),
  'serve forgets the body': (t) => ({ serve: (protocol, handler) => t.serve(protocol, (from, _, options) => handler(from, new Uint8Array(), options)) }),
  'serve ignores the protocol': (t) => ({ query: (to, _, body, options) => t.query(to, 'p', body, options), serve: (_, handler) => t.serve('p', handler) }),
  'topics are one': (t) => ({ publish: (_, bytes) => t.publish('nodes', bytes) }),
  'a subscription never ends': (t) => ({ subscribe: (topic) => t.subscribe(topic, {}) }),
  'nothing is ever published': () => ({ publish: async () => {} }),
  'peers are hidden': () => ({ peers: () => [] }),
  'a node is its own peer': (t) => ({ peers: () => [...t.peers(), { id: t.self, connected: true }] }),
  'disposal does nothing': () => ({ [Symbol.asyncDispose]: async () => {} }),
}

const passes = async (create: () => Promise<ConformanceNodes>, run: (typeof transportCases)[number]['run']): Promise<boolean> => {
  const nodes = await create()
  const patience = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => patience.resolve(false), 3000)
  try {
    return await Promise.race([
      run(nodes, capabilities).then(
        () => true,
        () => false,
      ),
      patience.promise,
    ])
  } finally {
    clearTimeout(timer)
    await nodes[Symbol.asyncDispose]()
  }
}

test.concurrent.each(Object.entries(broken))('the suite fails on a driver where %s', async (_, change) => {
  const results = await Promise.all(transportCases.map(async ({ name, run }) => ({ name, passed: await passes(breaking(change), run) })))
  expect(results.filter(({ passed }) => !passed).map(({ name }) => name)).not.toEqual([])
})

test('the wrapper that breaks drivers breaks nothing by itself', async () => {
  for (const { name, run } of transportCases)
    expect([
      name,
      await passes(
        breaking(() => ({})),
        run,
      ),
    ]).toEqual([name, true])
})
