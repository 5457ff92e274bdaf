import { expect, test } from 'vitest'
import { type ConformanceNodes, transportCases } from '../src/conformance.ts'
import type { Rejection, Transport } from '../src/index.ts'
import { capabilities, memoryNodes } from './nodes.ts'

// A conformance suite is worth what it catches: each of these drivers breaks one promise, and some case must fail on it (or never end, which its deadline makes a failure).

type Break = (transport: Transport) => Partial<Transport>

const breaking = (change: Break) => async (): Promise<ConformanceNodes> => {
  const nodes = await memoryNodes()()
  const broken = (transport: Transport): Transport => ({ ...transport, ...change(transport) })
  return { ...nodes, a: broken(nodes.a), b: broken(nodes.b), idle: broken(nodes.idle) }
}

const swallow = (work: Promise<readonly Rejection[]>, codes: readonly string[]): Promise<readonly Rejection[]> =>
  work.catch((error: { code?: string }) => {
    if (!codes.includes(error.code ?? '')) throw error
    return []
  })

const broken: Readonly<Record<string, Break>> = {
  'send does not wait for the handler': (t) => ({
    send: async (...args) => {
      void t.send(...args).catch(() => {})
      return []
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
      const rejections: Rejection[] = []
      for (const [index, message] of messages.entries())
        rejections.push(...(await t.send(to, [message], options)).map((rejection) => ({ ...rejection, index })))
      return rejections
    },
  }),
  'messages of a send arrive in reverse': (t) => ({ send: (to, messages, options) => t.send(to, messages.toReversed(), options) }),
  'send drops what was refused': (t) => ({ send: (...args) => t.send(...args).then(() => []) }),
  'what a handler refuses is dropped': (t) => ({ receive: (handler) => t.receive(async (...args) => void (await handler(...args))) }),
  'every refusal is of the first message': (t) => ({
    send: async (...args) => (await t.send(...args)).map((rejection) => ({ ...rejection, index: 0 })),
  }),
  'only the first refusal comes back': (t) => ({ send: async (...args) => (await t.send(...args)).slice(0, 1) }),
  'reasons are lost': (t) => ({ send: async (...args) => (await t.send(...args)).map((rejection) => ({ ...rejection, reason: '' })) }),
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
  'a limit of peers is ignored': (t) => ({ peers: () => t.peers() }),
  'a node sees itself': (t) => ({ peer: (id) => t.peer(id) ?? { id, connected: true } }),
  'the count of peers is too high': (t) => ({ peerCount: () => t.peerCount() + 1 }),
  'disposal does nothing': () => ({ [Symbol.asyncDispose]: async () => {} }),
}

const passes = async (create: () => Promise<ConformanceNodes>, run: (typeof transportCases)[number]['run']): Promise<boolean> => {
  await using nodes = await create()
  return await run(nodes, { ...capabilities, deadline: 3000 }).then(
    () => true,
    () => false,
  )
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

test('a driver that hangs fails each case that waits for it, by its name, within the deadline', async () => {
  const hangs = breaking(() => ({ send: () => new Promise(() => {}) }))
  await using nodes = await hangs()
  const [first] = transportCases
  await expect(first?.run(nodes, { deadline: 50 })).rejects.toThrow(`"${first?.name}" has not ended within 50 ms: the driver hangs`)
})
