import { type Refusal, refusals as refusalTable } from '@skrei/job-spec'

/** Nodes that said they never could, for one reason: what each said in full is kept of the latest only. */
export interface Refused {
  readonly refusal: Refusal
  readonly nodes: readonly string[]
}

export interface Barred {
  readonly node: string
  readonly refusals: readonly Refusal[]
}

const inFull = 64
/** Twice as many as a directory holds: whom it knows, it also knows to have refused. */
const most = 1024

/** Remembers one more. Reasons are bounded by the codes there are, nodes by their number. */
export const withBarred = (
  { barred, refused = [] }: { readonly barred: readonly Barred[]; readonly refused?: readonly Refused[] },
  one: Barred,
): { readonly barred: readonly Barred[]; readonly refused?: readonly Refused[] } => {
  const all = [...barred.filter(({ node }) => node !== one.node), one]
  const older = all.slice(0, -inFull)
  if (older.length === 0) return { barred: all }
  const others = refused.map((group) => (group.nodes.includes(one.node) ? { ...group, nodes: group.nodes.filter((node) => node !== one.node) } : group))
  return { barred: all.slice(-inFull), refused: older.reduce(withRefused, others) }
}

const withRefused = (groups: readonly Refused[], { node, refusals }: Barred): readonly Refused[] => {
  const refusal = refusals.find(({ code }) => refusalTable[code].permanent)
  if (refusal === undefined) return groups
  const group = groups.find((other) => other.refusal.code === refusal.code) ?? { refusal, nodes: [] }
  const others = groups.filter((other) => other !== group)
  const room = most - inFull - others.reduce((sum, { nodes }) => sum + nodes.length, 0)
  const nodes = [...group.nodes, node]
  return [...others, { refusal: group.refusal, nodes: nodes.slice(-Math.max(1, room)) }]
}

/** All that are remembered, each with its reasons. */
export const everyBarred = ({ barred, refused }: { readonly barred: readonly Barred[]; readonly refused?: readonly Refused[] }): readonly Barred[] =>
  refused === undefined ? barred : [...refused.flatMap(({ refusal, nodes }) => nodes.map((node) => ({ node, refusals: [refusal] }))), ...barred]
