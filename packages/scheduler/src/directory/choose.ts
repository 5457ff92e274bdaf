import type { Announcement } from '@skrei/protocol'
import type { Directory } from './directory.ts'
import type { Fitting } from './fitting.ts'
import { type RankerFailed, rank } from './rank.ts'
import type { Ranker, RankingFacts } from './ranker.ts'

export interface Choice {
  readonly directory: Directory
  readonly fitting: Fitting
  readonly facts: RankingFacts
  readonly rankers: readonly Ranker[]
  /** How many are wanted. */
  readonly room: number
  readonly accept: (node: string) => boolean
  readonly rankerFailed?: RankerFailed
}

/**
 * At most `room` nodes, best-ranked first, by "the better of two at random" (PROTOCOL.md rule 15; Mitzenmacher, The Power of Two Choices, 2001): twice as many are drawn as are
 * wanted, in pairs, and of each pair the better-ranked one is asked. So the worst are avoided without everybody running to the best. Nodes that hold the inputs are drawn in
 * any case, each against one drawn at random, so that one that is bad in all else can still lose. What is looked at does not grow with the network, nor with the directory: twice
 * what is wanted, and as many as are not accepted (asked, barred, used before: bounded lists).
 */
export const choose = ({ directory, fitting, facts, rankers, room, accept, rankerFailed }: Choice): readonly string[] => {
  const holders: string[] = []
  for (const node of facts.holders) {
    if (holders.length === room) break
    if (accept(node) && directory.get(node) !== undefined && fitting.refusalsOf(node).length === 0) holders.push(node)
  }
  const wanted = 2 * room - holders.length
  const drawn = fitting.fits.draw(wanted, fitting.fits.size, (node) => accept(node) && !holders.includes(node) && directory.get(node) !== undefined)
  const announcements = [...holders, ...drawn].flatMap((node) => directory.get(node)?.announcement ?? [])
  const winners = announcements.slice(0, room).flatMap((one, place): readonly Announcement[] => {
    const rival = announcements[place + room]
    return rival === undefined ? [one] : rank([one, rival], facts, rankers, rankerFailed).slice(0, 1)
  })
  return rank(winners, facts, rankers, rankerFailed).map(({ node }) => node)
}
