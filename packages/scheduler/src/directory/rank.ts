import type { Announcement } from '@skrei/protocol'
import type { Ranker, RankingFacts } from './ranker.ts'
import { defaultRankers } from './rankers.ts'

/** Told of a ranker that threw, or gave what is no number. */
export type RankerFailed = (ranker: string, why: string) => void

/** Best first; equals stay in the order in which they came. What a ranker cannot say of a node counts as 0, and breaks nothing. */
export const rank = (
  nodes: readonly Announcement[],
  facts: RankingFacts,
  by: readonly Ranker[] = defaultRankers,
  failed: RankerFailed = () => {},
): readonly Announcement[] =>
  nodes
    .map((node) => ({ node, score: by.reduce((sum, ranker) => sum + points(ranker, node, facts, failed), 0) }))
    .sort((one, other) => other.score - one.score)
    .map(({ node }) => node)

const points = ({ name, weight, score }: Ranker, node: Announcement, facts: RankingFacts, failed: RankerFailed): number => {
  try {
    const given = score(node, facts)
    if (Number.isFinite(given) && Number.isFinite(weight)) return weight * Math.min(1, Math.max(0, given))
    failed(name, `it gave ${described(given)} with the weight ${described(weight)}`)
  } catch (error) {
    failed(name, `it threw: ${described(error)}`)
  }
  return 0
}

/** Whatever it is: not everything has a text. */
const described = (value: unknown): string => {
  try {
    return String(value).slice(0, 500)
  } catch {
    return 'something without a text'
  }
}
