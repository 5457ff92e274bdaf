import type { Refusal } from '@skrei/job-spec'
import { forgetOldest } from '../forget-oldest.ts'
import type { Directory } from './directory.ts'
import { misfits, type NodeOffer, type Wanted } from './fit.ts'
import { createPool, type Pool } from './pool.ts'
import type { NodeRefusals } from './summary.ts'

/** What the directory says about one job: computed when a node comes, goes or changes, not for every shard. */
export interface Fitting {
  /** How many nodes are known in all. */
  readonly known: number
  /** Those that could run the task when they have room. */
  readonly fits: Pool<string>
  /** Why a known node could never; `[]` = it could. */
  refusalsOf(node: string): readonly Refusal[]
  /** All that could never. */
  never(): readonly NodeRefusals[]
}

/** Jobs are few, and cheap to look at again. */
const keptJobs = 64

/** Remembers, per job, which nodes of the directory fit. `key` stands for `wanted`: the same key, the same wish. */
export const createFittings = ({ directory, random }: { readonly directory: Directory; readonly random: () => number }) => {
  const kept = new Map<string, { version: number; fitting: Fitting; readonly refusals: WeakMap<NodeOffer, readonly Refusal[]> }>()

  return {
    of: (key: string, wanted: Wanted): Fitting => {
      const before = kept.get(key)
      if (before?.version === directory.version) return before.fitting
      // An offer is looked at once per job, however often its node is renewed.
      const refusals = before?.refusals ?? new WeakMap<NodeOffer, readonly Refusal[]>()
      const refusalsOf = (offer: NodeOffer): readonly Refusal[] => {
        const found = refusals.get(offer) ?? misfits(offer, wanted)
        refusals.set(offer, found)
        return found
      }
      const fits: string[] = []
      let known = 0
      for (const { node, offer } of directory.known()) {
        known++
        if (refusalsOf(offer).length === 0) fits.push(node)
      }
      const fitting: Fitting = {
        known,
        fits: createPool(random, fits),
        refusalsOf: (node) => {
          const entry = directory.get(node)
          return entry === undefined ? [] : refusalsOf(entry.offer)
        },
        never: () => {
          const nodes: NodeRefusals[] = []
          for (const { node, offer } of directory.known()) {
            const why = refusalsOf(offer)
            if (why.length > 0) nodes.push({ node, refusals: why })
          }
          return nodes
        },
      }
      kept.delete(key)
      kept.set(key, { version: directory.version, fitting, refusals })
      forgetOldest(kept, keptJobs)
      return fitting
    },
  }
}
