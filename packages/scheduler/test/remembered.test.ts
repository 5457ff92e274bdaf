import { expect, test } from 'vitest'
import { createSimulation } from '../src/simulation/index.ts'
import { asker, upTo } from './asker.ts'

const tooMuch = { resources: { cpu: 1_000_000, memory: 1, disk: 1, gpu: { count: 0 } } }
const rows = { kind: 'compute', limit: 1000 } as const

test('of an ask that came to nothing little is kept, and a late word about it is answered as before', async () => {
  const world = await createSimulation({ nodes: 1 })
  const node = world.node(0)
  const peer = await asker(world, 'peer')
  const large = { engine: { type: 'noop', duration: 1, files: { '/out/a': 'x'.repeat(100_000) } } }
  await peer.ask(node.id, [0], { ...large, ...tooMuch })
  await peer.ask(node.id, [1], large)
  await peer.ask(node.id, [2], large)
  const bids = peer.bids()
  expect([peer.declines().length, bids.length]).toEqual([1, 2])
  await peer.send(node.id, [{ type: 'release', body: { askId: bids[0]?.askId, execution: bids[0]?.execution } }])
  await world.clock.advance(60_000)
  const kept = node.store.read((reader) => reader.list(rows.kind, rows))
  expect(kept.map(({ state }) => state).sort()).toEqual(['declined', 'expired', 'released'])
  for (const { data } of kept) {
    expect(data).toMatchObject({ requester: 'peer', askId: expect.any(String), job: 'a', shard: { index: 0 } })
    expect(JSON.stringify(data).length).toBeLessThan(2000)
  }
  const before = peer.got.length
  await peer.ask(node.id, [0], { ...large, ...tooMuch })
  await peer.send(
    node.id,
    bids.map(({ askId, execution }) => ({ type: 'award', body: { askId, execution } })),
  )
  await peer.send(node.id, [{ type: 'stop', body: { execution: bids[0]?.execution, reason: 'cancel' } }])
  await world.clock.advance(100)
  expect(peer.got.slice(before).map(({ type, body }) => [type, 'code' in body ? body.code : undefined])).toEqual([
    ['decline', undefined],
    ['refused', 'released'],
    ['refused', 'expired'],
    ['stopped', undefined],
  ])
  expect(world.errors).toEqual([])
  await world.stop()
})

test('of each requester so many asks that came to nothing are remembered, and the first that ended are forgotten with all that was theirs', async () => {
  const world = await createSimulation({ nodes: 1, settings: { keepDeclined: 20 } })
  const node = world.node(0)
  const [many, few] = [await asker(world, 'many'), await asker(world, 'few')]
  await few.ask(node.id, upTo(5), tooMuch)
  for (let index = 0; index < 30; index++) await many.ask(node.id, [index], tooMuch)
  const asksOf = (requester: string): readonly string[] =>
    node.store.read((reader) => reader.list(rows.kind, { ...rows, parent: requester }).map(({ data }) => (data as { readonly askId: string }).askId)).toSorted()
  const from = (first: number, last: number): readonly string[] => Array.from({ length: last - first }, (_, index) => `a/${first + index}`).toSorted()
  expect([asksOf('many'), asksOf('few')]).toEqual([from(10, 30), from(0, 5)])
  // After a restart, too.
  node.crash()
  await node.restart()
  await many.ask(node.id, [30, 31], tooMuch)
  await world.clock.advance(100)
  expect([asksOf('many'), asksOf('few')]).toEqual([from(12, 32), from(0, 5)])
  const ended = node.store.read((reader) => reader.list('ended', { limit: 1000 }))
  expect(ended).toHaveLength(25)
  // The answers have reached their requesters; one was sent again by the restart.
  expect([many, few].map(({ declines }) => new Set(declines().map(({ askId }) => askId)).size)).toEqual([32, 5])
  expect(world.errors).toEqual([])
  await world.stop()
})
