import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Partitions, partitionsOf } from '../src/index.ts'
import { createSimulation } from '../src/simulation/index.ts'

const names = (count: number, prefix: string): readonly string[] => Array.from({ length: count }, (_, index) => `${prefix}${index}`)
/** All of each group see each other. */
const statementsOf = (...groups: readonly (readonly string[])[]): Map<string, readonly string[]> =>
  new Map(groups.flatMap((group) => group.map((node) => [node, group.filter((other) => other !== node)] as const)))
const sizes = ({ groups }: Partitions): readonly number[] => groups.map(({ length }) => length)

const size = fc.integer({ min: 3, max: 12 })
const lie = fc.array(fc.string({ maxLength: 4 }), { maxLength: 40 })

test('groups that do not see each other are a split, whatever their sizes', () => {
  fc.assert(
    fc.property(fc.array(size, { minLength: 1, maxLength: 5 }), (counts) => {
      const found = partitionsOf(statementsOf(...counts.map((count, index) => names(count, `g${index}-`))))
      expect(found.verdict).toBe(counts.length > 1 ? 'split' : 'whole')
      expect([...sizes(found)].sort()).toEqual([...counts].sort())
      expect([found.bridges, found.alone, found.unseen]).toEqual([[], [], []])
    }),
  )
})

test('a single liar neither hides a split nor makes one up', () => {
  fc.assert(
    fc.property(size, size, fc.boolean(), lie, (left, right, isSplit, lies) => {
      const [a, b] = [names(left, 'a'), names(right, 'b')]
      const statements = isSplit ? statementsOf(a, b) : statementsOf([...a, ...b])
      // It claims to see anybody, of either side, and to not see others.
      statements.set('a0', [...lies, ...(lies.length % 2 === 0 ? b : []), ...(lies.length % 3 === 0 ? a : [])])
      const found = partitionsOf(statements)
      expect(found.verdict).toBe(isSplit ? 'split' : 'whole')
      expect(found.groups.flat().length).toBeGreaterThanOrEqual(left + right - 1)
    }),
  )
})

test('the verdict does not depend on the order of what is said', () => {
  const node = fc.integer({ min: 0, max: 9 }).map((index) => `n${index}`)
  const said = fc.uniqueArray(fc.tuple(node, fc.array(node, { maxLength: 10 })), { selector: ([who]) => who, maxLength: 10 })
  fc.assert(
    fc.property(said, (list) => {
      const found = partitionsOf(new Map(list))
      expect(partitionsOf(new Map([...list].reverse().map(([who, sees]) => [who, [...sees].reverse()])))).toEqual(found)
      // Everybody who spoke is in one place.
      expect([...found.groups.flat(), ...found.bridges, ...found.alone].sort()).toEqual(list.map(([who]) => who).sort())
    }),
  )
})

test('one node that alone connects two sides is a bridge, and the network is split without it', () => {
  const [a, b] = [names(4, 'a'), names(3, 'b')]
  const statements = statementsOf(a, b)
  statements.set('bridge', [...a, ...b])
  for (const node of [...a, ...b]) statements.set(node, [...(statements.get(node) ?? []), 'bridge'])
  expect(partitionsOf(statements)).toEqual({ verdict: 'split', groups: [a, b], bridges: ['bridge'], alone: [], unseen: [] })
  statements.set('second', [...a, ...b])
  for (const node of [...a, ...b]) statements.set(node, [...(statements.get(node) ?? []), 'second'])
  expect(partitionsOf(statements)).toMatchObject({ verdict: 'whole', bridges: [] })
})

test('one node is no partition; who is known and seen by nobody is named', () => {
  const statements = statementsOf(names(4, 'a'), ['hermit'])
  expect(partitionsOf(statements, ['a0', 'down', 'hermit'])).toEqual({
    verdict: 'whole',
    groups: [names(4, 'a')],
    bridges: [],
    alone: ['hermit'],
    unseen: ['down'],
  })
  statements.set('a0', ['a1', 'a2', 'a3', 'quiet']).set('a1', ['a0', 'a2', 'a3', 'quiet', 'down'])
  expect(partitionsOf(statements, ['quiet', 'down']).unseen).toEqual(['down'])
})

test('a long line of nodes, and far too many statements, take no more than they should', () => {
  const line = names(100_000, 'n')
  const statements = new Map(line.map((node, index) => [node, [`n${index - 1}`, `n${index + 1}`]]))
  expect(partitionsOf(statements).bridges.length).toBeLessThan(512)
})

test('a running node finds out whether its network is split, and who the bridge is', async () => {
  const world = await createSimulation({ nodes: 9 })
  const ask = async (): Promise<Partitions> => {
    const found = world.node(0).scheduler.partitions()
    await world.clock.advance(10_000)
    return found
  }
  const ids = world.nodes.map(({ id }) => id)
  expect(await ask()).toEqual({ verdict: 'whole', groups: [ids], bridges: [], alone: [], unseen: [] })
  const [left, right] = [ids.slice(1, 5), ids.slice(5)]
  const blocks = left.flatMap((one) => right.flatMap((other) => [world.network.block(one, other), world.network.block(other, one)]))
  expect(await ask()).toEqual({ verdict: 'split', groups: [left, right], bridges: [ids[0]], alone: [], unseen: [] })
  for (const block of blocks) block[Symbol.dispose]()
  world.network.partition([ids.slice(0, 5)])
  expect(await ask()).toMatchObject({ verdict: 'whole', groups: [ids.slice(0, 5)], unseen: right })
  world.network.heal()
  await world.stop()
})
