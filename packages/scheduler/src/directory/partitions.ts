/** What the statements of nodes about whom they see come to. */
export interface Partitions {
  /** `split`: at least two groups of two or more nodes that do not see each other, or only through a bridge. */
  readonly verdict: 'whole' | 'split'
  /** Nodes that see each other, directly or through others of the group, two or more; the largest first. */
  readonly groups: readonly (readonly string[])[]
  /** Nodes without which a group would fall into several: the only way from one to the other. */
  readonly bridges: readonly string[]
  /** Nodes that made a statement that nobody confirms, or lean on a bridge alone: one node is no partition, and may be lying about it. */
  readonly alone: readonly string[]
  /** Nodes that are known and made no statement, and that at most one other says it sees: down, or behind a split that nobody here sees across. Which, cannot be told from here. */
  readonly unseen: readonly string[]
}

/** More statements than this are not looked at; the same for the ids in one. */
const most = 512

/**
 * Finds splits of a network from what its nodes say they see. Two nodes see each other when *both* say so: a single liar can neither hide a split (the other side does not confirm
 * what it makes up) nor make one up where others are connected without it (it can only put itself aside). Pure; time is bounded by the number of confirmed edges, 512 nodes at most.
 *
 * A node held to a group by one other alone counts as `alone`, not as a group. Several liars together can do what several nodes can.
 *
 * @param statements by node, the nodes that it says it sees
 * @param known nodes that should be there, whether they made a statement or not
 */
export const partitionsOf = (statements: ReadonlyMap<string, Iterable<string>>, known: Iterable<string> = []): Partitions => {
  const claims = new Map([...statements].slice(0, most).map(([node, sees]) => [node, firstOf(sees)]))
  const edges = new Map<string, readonly string[]>()
  for (const [node, sees] of claims)
    edges.set(
      node,
      [...sees].filter((other) => other !== node && claims.get(other)?.has(node) === true),
    )

  const bridges = bridgesOf(edges)
  const parts = componentsOf(edges, bridges)
  const groups = parts.filter(({ length }) => length > 1).sort((one, other) => other.length - one.length || (one < other ? -1 : 1))
  const witnesses = new Map<string, number>()
  for (const [, sees] of claims) for (const other of sees) witnesses.set(other, (witnesses.get(other) ?? 0) + 1)
  return {
    verdict: groups.length > 1 ? 'split' : 'whole',
    groups,
    bridges: [...bridges].sort(),
    alone: parts
      .filter(({ length }) => length === 1)
      .flat()
      .sort(),
    unseen: [...firstOf(known)].filter((node) => !claims.has(node) && (witnesses.get(node) ?? 0) < 2).sort(),
  }
}

const firstOf = (nodes: Iterable<string>): ReadonlySet<string> => {
  const first = new Set<string>()
  for (const node of nodes) if (first.add(node).size >= most) break
  return first
}

/** Tarjan's lowpoints (Depth-first search and linear graph algorithms, 1972): nodes whose removal leaves two or more parts of at least two nodes. */
const bridgesOf = (edges: ReadonlyMap<string, readonly string[]>): ReadonlySet<string> => {
  const found = new Map<string, number>()
  const bridges = new Set<string>()

  /** Returns the lowest place that the subtree reaches, and how many nodes it has; `cuts` is told of the parts that hang on each node. */
  const visit = (node: string, parent: string | undefined, cuts: Map<string, number[]>): readonly [low: number, size: number] => {
    const place = found.size
    found.set(node, place)
    let low = place
    let size = 1
    for (const other of edges.get(node) ?? []) {
      const seen = found.get(other)
      if (seen !== undefined) {
        if (other !== parent) low = Math.min(low, seen)
        continue
      }
      const [below, count] = visit(other, node, cuts)
      size += count
      low = Math.min(low, below)
      if (below < place) continue
      const hanging = cuts.get(node)
      if (hanging) hanging.push(count)
      else cuts.set(node, [count])
    }
    return [low, size]
  }

  for (const root of edges.keys()) {
    if (found.has(root)) continue
    const cuts = new Map<string, number[]>()
    const [, size] = visit(root, undefined, cuts)
    for (const [node, hanging] of cuts) {
      const rest = size - 1 - hanging.reduce((sum, count) => sum + count, 0)
      if ([...hanging, rest].filter((count) => count > 1).length > 1) bridges.add(node)
    }
  }
  return bridges
}

const componentsOf = (edges: ReadonlyMap<string, readonly string[]>, without: ReadonlySet<string>): readonly (readonly string[])[] => {
  const seen = new Set(without)
  const parts: string[][] = []
  for (const start of edges.keys()) {
    if (seen.has(start)) continue
    seen.add(start)
    const part = [start]
    for (const node of part) {
      for (const other of edges.get(node) ?? []) {
        if (seen.has(other)) continue
        seen.add(other)
        part.push(other)
      }
    }
    parts.push(part.sort())
  }
  return parts
}
