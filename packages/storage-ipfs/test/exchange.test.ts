import { createCipheriv } from 'node:crypto'
import { expect, test } from 'vitest'
import { network } from './networked.ts'
import { asFound, cidOf, collect, fetched, longName, scratch } from './scratch.ts'

const large = createCipheriv('chacha20', Buffer.alloc(32), Buffer.alloc(16)).update(Buffer.alloc(5 * 1024 * 1024 + 7))

test('what one node published is listed, staged and fetched by another that holds nothing', async () => {
  await using tools = await scratch()
  await using net = network()
  const [a, b] = [await net.node(), await net.node()]
  const near = await tools.storage({ directory: tools.fresh(), libp2p: a })
  const far = await tools.storage({ directory: tools.fresh(), libp2p: b })
  await net.connect(a, b)
  const tree = {
    'a/large': large,
    'b/c': 'some text',
    ...Object.fromEntries(Array.from({ length: 1100 }, (_, index) => [`many/${longName(index)}`, `${index}`])),
  }
  const reference = await far.publisher.publish('job', await tools.make(tree), {})
  const source = { type: 'ipfs', cid: cidOf(reference) } as const
  expect(await near.source.assess(source)).toEqual({ held: false, refusals: [] })
  const listed = await collect(near.source.list(source))
  expect(listed.length).toBe(1102)
  const [entry] = listed.filter(({ path }) => path === 'a/large')
  if (entry === undefined) throw new Error('not listed')
  expect((await near.source.assess(entry.source)).held).toBe(false)
  await collect(near.source.stage(entry, tools.fresh(), { maxBytes: 1e9 }))
  expect(await near.source.assess(entry.source)).toEqual({ held: true, bytes: large.length, refusals: [] })
  expect(await near.source.assess(source)).toEqual({ held: false, refusals: [] })
  expect(await fetched(near, cidOf(reference), tools.fresh())).toEqual(asFound(tree))
  expect((await near.source.assess(source)).held).toBe(true)
})
