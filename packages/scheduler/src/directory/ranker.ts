import type { Announcement } from '@skrei/protocol'
import type { Wanted } from './fit.ts'

/** What a ranker may know besides the node's announcement. */
export interface RankingFacts extends Wanted {
  /** Selectors of `prefer`: wishes, not conditions. */
  readonly prefer: readonly string[]
  /** Nodes on which an execution of this very shard failed. */
  readonly failed: readonly string[]
  /** Ids of nodes that are known to hold inputs of the job. */
  readonly holders: ReadonlySet<string>
  /** Failures of a node's own making that this requester saw lately, in all its jobs; older ones count less. */
  readonly failures: (node: string) => number
  /** Uniform in [0, 1), drawn anew by each call. */
  readonly random: () => number
}

/** A share between 0 (worst) and 1 (best), from what is known: pure. Where it throws, or gives what is no finite number, it counts as 0, which is recorded. A list of them decides, each with its weight. */
export interface Ranker {
  readonly name: string
  readonly weight: number
  readonly score: (node: Announcement, facts: RankingFacts) => number
}
