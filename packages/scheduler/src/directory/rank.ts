import type { Announcement } from '@skrei/protocol'
import type { Ranker, RankingFacts } from './ranker.ts'
import { defaultRankers } from './rankers.ts'

/** Best first; equals stay in the order in which they came. */
export const rank = (nodes: readonly Announcement[], facts: RankingFacts, by: readonly Ranker[] = defaultRankers): readonly Announcement[] =>
  nodes
    .map((node) => ({ node, score: by.reduce((sum, { weight, score }) => sum + weight * share(score(node, facts)), 0) }))
    .sort((one, other) => other.score - one.score)
    .map(({ node }) => node)

const share = (score: number): number => (score > 0 ? Math.min(1, score) : 0)
