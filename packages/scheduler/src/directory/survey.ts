import { maxAskedAbout } from '@skrei/protocol'
import { type AskSampleWorld, askSample } from './ask-sample.ts'
import { type Directory, directoryBound } from './directory.ts'
import { type Partitions, partitionsOf } from './partitions.ts'
import { createPool } from './pool.ts'

export interface SurveyWorld extends AskSampleWorld {
  readonly self: string
  readonly random: () => number
  readonly directory: Directory
}

/**
 * Asks a panel of nodes which of the panel they see, and says what that comes to. The panel is a random part, 63 nodes at most, of those that this node knows or is connected to, and
 * itself; each is asked once, so a survey costs the same in a network of any size. A split is found when the panel has two nodes on each side.
 */
export const survey = async (world: SurveyWorld, { signal }: { readonly signal: AbortSignal }): Promise<Partitions> => {
  const { self, random, directory, transport } = world
  const everybody = new Set([...directory.all().map(({ node }) => node), ...transport.peers({ limit: directoryBound }).map(({ id }) => id)])
  everybody.delete(self)
  const panel = createPool(random, everybody).draw(maxAskedAbout - 1, maxAskedAbout - 1, () => true)
  const heads = await Promise.all(
    panel.map(async (node) => {
      const about = [self, ...panel.filter((other) => other !== node)]
      return [node, await askSample(world, node, { most: 0, about }, () => {}, { signal })] as const
    }),
  )
  signal.throwIfAborted()
  const statements = new Map<string, Iterable<string>>()
  for (const [node, head] of heads) if (head !== undefined) statements.set(node, head.sees)
  // That a node answered is what this one sees of it.
  statements.set(self, [...statements.keys()])
  return partitionsOf(statements, panel)
}
