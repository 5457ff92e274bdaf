import type { Announcement } from '@skrei/protocol'
import type { Clock } from '@skrei/transport'

/** The nodes that this one knows: soft, bounded, never a fact. */
export interface Directory {
  /** Keeps the newest of a node: (incarnation, counter). */
  note(announcement: Announcement): void
  all(): readonly Announcement[]
  get(node: string): Announcement | undefined
  /** At most `count` nodes at random that satisfy `accept`; looks at a bounded number of them. */
  sample(count: number, accept: (announcement: Announcement) => boolean): readonly Announcement[]
}

/** DESIGN.md law 4. */
const bound = 512
const longestTtl = 300_000

export const createDirectory = ({ clock, random }: { readonly clock: Clock; readonly random: () => number }): Directory => {
  const known = new Map<string, { readonly announcement: Announcement; readonly until: number }>()

  const live = (): Announcement[] => {
    const now = clock.now()
    for (const [node, { until }] of known) if (until <= now) known.delete(node)
    return [...known.values()].map(({ announcement }) => announcement)
  }

  return {
    note: (announcement) => {
      const before = known.get(announcement.node)?.announcement
      if (before !== undefined && !isNewer(announcement, before)) return
      if (before === undefined && known.size >= bound) {
        const victim = [...known.keys()][Math.floor(random() * known.size)]
        if (victim !== undefined) known.delete(victim)
      }
      known.set(announcement.node, { announcement, until: clock.now() + Math.min(announcement.ttl, longestTtl) })
    },
    all: live,
    get: (node) => known.get(node)?.announcement,
    sample: (count, accept) => {
      const nodes = live()
      const chosen: Announcement[] = []
      // A Fisher-Yates shuffle that stops when enough are found.
      for (let last = nodes.length - 1; last >= 0 && chosen.length < count; last--) {
        const pick = Math.floor(random() * (last + 1))
        const [picked, swapped] = [nodes[pick], nodes[last]]
        if (picked === undefined || swapped === undefined) break
        nodes[pick] = swapped
        if (accept(picked)) chosen.push(picked)
      }
      return chosen
    },
  }
}

const isNewer = (one: Announcement, other: Announcement): boolean =>
  one.incarnation.counter > other.incarnation.counter || (one.incarnation.counter === other.incarnation.counter && one.counter > other.counter)
