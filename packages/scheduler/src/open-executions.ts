import type { StateStore } from '@skrei/state-store'
import { allRows } from './kernel/all-rows.ts'
import type { Transition } from './kernel/event.ts'
import type { Kernel } from './kernel/kernel.ts'
import type { ComputeContext } from './machines/compute-execution.ts'
import type { ExecutionContext } from './machines/execution.ts'

/** An execution that this node has for a requester, from its reservation to its clean-up. */
export interface Held {
  readonly state: string
  /** `terms.lease`, milliseconds. */
  readonly lease: number | null
  /** If this run of the node saw that: when it was awarded; of what has ended, when that was reported. From then on its requester waits for it. */
  readonly since?: number
}

/** What another node runs for this one. */
export interface Awarded {
  readonly state: string
  readonly shardId: string
}

/** By id. */
type States<T> = ReadonlyMap<string, T>

/**
 * What is open between this node and each other: a copy in memory of what the rows say, made when it is first asked for and kept with every turn. Heartbeats ask for a few of them,
 * often and whoever sends them; the store would look at all.
 */
export interface OpenExecutions extends Disposable {
  /** What this node runs, by requester. */
  held(): ReadonlyMap<string, States<Held>>
  /** What others run for this node, by node. */
  awarded(): ReadonlyMap<string, States<Awarded>>
  /** It is not known whether a turn was written: the rows are read again. */
  unsure(): void
}

/** Before, the node holds nothing; after, it is over. */
const waiting: ReadonlySet<string> = new Set(['assessing', 'queued'])
const dated: ReadonlySet<string> = new Set(['staging', 'finished'])
/** Nothing of them runs: they are kept until their requester settles them. */
export const doneStates: ReadonlySet<string> = new Set(['finished', 'finished-unpublished', 'published'])
const pageSize = 1000

export const createOpenExecutions = ({ store, kernel }: { readonly store: StateStore; readonly kernel: Kernel }): OpenExecutions => {
  let known: { readonly held: Map<string, Map<string, Held>>; readonly awarded: Map<string, Map<string, Awarded>> } | undefined

  const read = (): NonNullable<typeof known> => {
    if (known !== undefined) return known
    const all = { held: new Map<string, Map<string, Held>>(), awarded: new Map<string, Map<string, Awarded>>() }
    store.read((reader) => {
      for (const { id, state, data } of allRows(reader, 'compute', { open: true }, pageSize)) {
        const { requester, terms } = data as unknown as ComputeContext
        if (!waiting.has(state)) note(all.held, requester, id, { state, lease: terms.lease })
      }
      for (const { id, state, data } of allRows(reader, 'execution', { open: true }, pageSize)) {
        const { node, shardId } = data as unknown as ExecutionContext
        note(all.awarded, node, id, { state, shardId })
      }
    })
    known = all
    return all
  }

  const follow = ({ kind, id, from, to, open, at, context }: Transition): void => {
    if (known === undefined) return
    if (kind === 'execution') {
      const { node, shardId } = context as unknown as ExecutionContext
      note(known.awarded, node, id, open ? { state: to, shardId } : undefined)
    }
    if (kind !== 'compute') return
    const { requester, terms } = context as unknown as ComputeContext
    const since = from !== to && dated.has(to) ? at : known.held.get(requester)?.get(id)?.since
    const isHeld = open && !waiting.has(to)
    note(known.held, requester, id, isHeld ? { state: to, lease: terms.lease, ...(since !== undefined && { since }) } : undefined)
  }

  const listening = kernel.onTransition(follow)
  return {
    held: () => read().held,
    awarded: () => read().awarded,
    unsure: () => {
      known = undefined
    },
    [Symbol.dispose]: () => listening[Symbol.dispose](),
  }
}

const note = <T>(all: Map<string, Map<string, T>>, node: string, id: string, what: T | undefined): void => {
  const those = all.get(node)
  if (what !== undefined && those) those.set(id, what)
  else if (what !== undefined) all.set(node, new Map([[id, what]]))
  else if (those?.delete(id) && those.size === 0) all.delete(node)
}
