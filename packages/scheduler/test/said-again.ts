import type { Data } from '@skrei/state-store'
import type { SimulatedNode } from '../src/simulation/index.ts'
import type { Recorder } from './recorded-transport.ts'

const everything = 1_000_000

/** What a node knows, and what it has written down: without what its objects have heard and said. */
const knowledge = (node: SimulatedNode): ReadonlyMap<string, string> =>
  new Map(
    node.store.read((reader) =>
      ['job', 'shard', 'execution', 'compute', 'ledger'].flatMap((kind) =>
        reader.list(kind, { limit: everything }).map(({ id, state, version, data }) => {
          const { slots: _, ...rest } = (data ?? {}) as { readonly slots?: Data }
          return [`${kind} ${id}`, JSON.stringify([state, version, rest, reader.history(kind, id, 0, everything).length])]
        }),
      ),
    ),
  )

/** What it knows once nothing waits any more for a turn that would take it along: it would look as if it came of what is said again. */
const settled = async (messages: Recorder, node: SimulatedNode): Promise<ReadonlyMap<string, string>> => {
  for (let before = knowledge(node); ; ) {
    await messages.turn(node.id)
    const after = knowledge(node)
    if (after.size === before.size && [...after].every(([key, what]) => before.get(key) === what)) return after
    before = after
  }
}

/** Says some of what a node has durably taken again, in an order of its own: nothing changes (invariant 10). */
export const sayAgain = async (messages: Recorder, node: SimulatedNode, random: () => number): Promise<void> => {
  // It was told things about objects that it had forgotten and has made again since: to those they are news.
  if (node.setBacks > 0) return
  // A turn does what is due besides: it would look as if it came of what is said again.
  if ((node.store.read((reader) => reader.nextDeadline()) ?? Number.POSITIVE_INFINITY) <= node.clock.now()) return
  // Not what it told itself: the answer is given again at once, and may be news to it.
  const taken = messages.taken(node.id).filter(({ from }) => from !== node.id)
  const prefix = taken.slice(0, 1 + Math.floor(random() * taken.length))
  const order = prefix.map((sent) => ({ sent, at: random() })).sort((one, other) => one.at - other.at)
  const before = await settled(messages, node)
  for (const { sent } of order) await messages.again(sent)
  const after = knowledge(node)
  for (const [key, what] of after)
    if (before.get(key) !== what)
      throw new Error(`invariant 10 is broken on ${node.id}: what it had heard before made ${key} ${what}, it was ${before.get(key)}`)
}
