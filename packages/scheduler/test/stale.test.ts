import { decodeMessage, type MessageType } from '@skrei/protocol'
import type { OutboxEntry } from '@skrei/state-store'
import type { Transport } from '@skrei/transport'
import { expect, test } from 'vitest'
import { staleOf } from '../src/kernel/stale.ts'
import { createSimulation } from '../src/simulation/index.ts'
import { quiet } from './invariants.ts'
import { noopJob } from './noop-job.ts'

const left = (...messages: readonly (readonly [id: string, message: MessageType])[]): readonly string[] => {
  const entries = messages.map(
    ([id, message], index): OutboxEntry => ({ outboxId: index + 1, kind: 'k', id, type: 'send', lane: 'send p', data: { to: 'p', message, dropAt: 1 } }),
  )
  const stale = staleOf(entries)
  return entries.filter((entry) => !stale.has(entry)).map(({ id, data }) => `${id} ${(data as { readonly message: string }).message}`)
}

test('what an object said is needless once it has said that it moved on, and nothing else is', () => {
  expect(left(['a', 'ask'], ['b', 'ask'], ['a', 'release'])).toEqual(['b ask', 'a release'])
  // Asked anew, after it was let go.
  expect(left(['a', 'ask'], ['a', 'release'], ['a', 'ask'])).toEqual(['a release', 'a ask'])
  expect(left(['a', 'award'], ['a', 'stop'], ['b', 'award'])).toEqual(['a stop', 'b award'])
  expect(left(['a', 'verdict'], ['a', 'superseded'])).toEqual(['a superseded'])
  expect(left(['a', 'bid'], ['a', 'awarded'], ['a', 'finished'])).toEqual(['a bid', 'a awarded', 'a finished'])
  expect(left(['a', 'bid'], ['a', 'awarded'], ['a', 'finished'], ['a', 'published'], ['a', 'stopped'])).toEqual(['a stopped'])
  expect(left(['a', 'stop'], ['a', 'award'])).toEqual(['a stop', 'a award'])
  expect(left(['a', 'release'], ['a', 'stopped'], ['a', 'settle'], ['a', 'superseded'], ['a', 'decline'])).toHaveLength(5)
})

/** What a node hears, by its index. */
const listening = () => {
  const heard = new Map<string, string[]>()
  const between = (transport: Transport, self: string): Transport => ({
    ...transport,
    receive: (handler) =>
      transport.receive((from, messages) => {
        const list = heard.get(self) ?? []
        heard.set(self, list)
        for (const bytes of messages) list.push(decodeMessage(bytes, { network: 'test', self, from, check: () => true, verified: () => false }).type)
        return handler(from, messages)
      }),
  })
  return { between, heard: (node: { readonly id: string }): readonly string[] => heard.get(node.id) ?? [] }
}

test.each([false, true])(
  'a node that comes back is not asked what was asked while it was away and is no longer wanted (requester restarted: %s)',
  async (restarted) => {
    const { between, heard } = listening()
    // The one that is away is asked first.
    const rankers = [{ name: 'away', weight: 1, score: ({ node }: { readonly node: string }) => (node === 'node-0001' ? 1 : 0) }]
    const world = await createSimulation({ nodes: 3, requesterOnly: true, link: { latency: 5 }, between, rankers })
    const [requester, away] = [world.node(0), world.node(1)]
    world.network.partition([[away.id]])
    const jobId = await requester.scheduler.submit(noopJob({ sharding: { count: 4 }, resources: { cpu: 100 } }))
    expect(await world.finish(requester, jobId)).toBe('completed')
    if (restarted) {
      requester.crash()
      world.network.heal()
      await requester.restart()
    } else world.network.heal()
    await world.clock.advance(60_000)
    expect(new Set(heard(away))).toEqual(new Set(['release']))
    await world.clock.advance(7_200_000)
    expect([quiet(world), world.errors]).toEqual([[], []])
    await world.stop()
  },
)

test('an award that could not be delivered is not sent once its execution is stopped', async () => {
  const { between, heard } = listening()
  const world = await createSimulation({ nodes: 2, requesterOnly: true, link: { latency: 5 }, between })
  const [requester, node] = [world.node(0), world.node(1)]
  const jobId = await requester.scheduler.submit(noopJob())
  while (requester.store.read((reader) => reader.list('execution', { state: 'awarding', limit: 1 })).length === 0) await world.clock.next()
  world.network.partition([[node.id]])
  await world.clock.advance(1500)
  await requester.scheduler.cancel(jobId)
  await world.clock.advance(500)
  world.network.heal()
  expect(await world.finish(requester, jobId)).toBe('cancelled')
  expect(heard(node)).toEqual(['ask', 'stop'])
  expect(world.happened.filter(({ what }) => what === 'started')).toEqual([])
  await world.clock.advance(7_200_000)
  expect([quiet(world), world.errors]).toEqual([[], []])
  await world.stop()
})
