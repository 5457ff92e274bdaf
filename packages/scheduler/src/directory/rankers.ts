import { satisfies } from './fit.ts'
import type { Ranker } from './ranker.ts'

/** A node on which this shard failed comes last; one with failures of its own making in other jobs behind one without: 1, 1/2, 1/3… */
export const pastFailures: Ranker = {
  name: 'past-failures',
  weight: 4,
  score: ({ node }, { failed, failures }) => (failed.includes(node) ? 0 : 1 / (1 + failures(node))),
}

/** A node that holds inputs of the job need not fetch them. */
export const dataLocality: Ranker = { name: 'data-locality', weight: 3, score: ({ node }, { holders }) => (holders.has(node) ? 1 : 0) }

/** The share of the job's `prefer` that the node's labels satisfy. */
export const preferences: Ranker = {
  name: 'preferences',
  weight: 2,
  score: ({ labels }, { prefer }) => (prefer.length === 0 ? 1 : prefer.filter((selector) => satisfies(selector, labels)).length / prefer.length),
}

/** The scarcest of the node's resources, as a share of what it has. As old as its announcement: a hint. */
export const freeCapacity: Ranker = {
  name: 'free-capacity',
  weight: 1,
  score: ({ free, capacity }) => Math.min(share(free.cpu, capacity.cpu), share(free.memory, capacity.memory), share(free.disk, capacity.disk)),
}

/** Among equals chance decides: many requesters with the same knowledge should not all ask the same node. */
export const randomTieBreak: Ranker = { name: 'random-tie-break', weight: 0.001, score: (_node, { random }) => random() }

/** What decides where nothing else is given: `SchedulerOptions.rankers`. */
export const defaultRankers: readonly Ranker[] = Object.freeze([pastFailures, dataLocality, preferences, freeCapacity, randomTieBreak])

const share = (free: number, all: number): number => (all > 0 ? free / all : 0)
