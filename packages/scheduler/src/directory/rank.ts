import type { Announcement } from '@skrei/protocol'
import { satisfies, type Wanted } from './fit.ts'

/** A share between 0 (worst) and 1 (best). Pure; a list of them decides, each with its weight. */
export interface Ranker {
  readonly name: string
  readonly weight: number
  readonly score: (node: Announcement, wanted: Wanted & { readonly prefer: readonly string[]; readonly failed: readonly string[] }) => number
}

const rankers: readonly Ranker[] = [
  { name: 'past-failures', weight: 4, score: (node, { failed }) => (failed.includes(node.node) ? 0 : 1) },
  {
    name: 'preferences',
    weight: 2,
    score: (node, { prefer }) => (prefer.length === 0 ? 1 : prefer.filter((selector) => satisfies(selector, node.labels)).length / prefer.length),
  },
  {
    name: 'free-capacity',
    weight: 1,
    score: (node) =>
      Math.min(share(node.free.cpu, node.capacity.cpu), share(node.free.memory, node.capacity.memory), share(node.free.disk, node.capacity.disk)),
  },
]

const share = (free: number, all: number): number => (all > 0 ? Math.min(1, free / all) : 0)

/** Best first; equals stay in the order in which they came, which is random. */
export const rank = (nodes: readonly Announcement[], wanted: Parameters<Ranker['score']>[1], by: readonly Ranker[] = rankers): readonly Announcement[] => {
  const scored = nodes.map((node) => ({ node, score: by.reduce((sum, { weight, score }) => sum + weight * score(node, wanted), 0) }))
  return scored.sort((one, other) => other.score - one.score).map(({ node }) => node)
}
