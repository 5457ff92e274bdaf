import type { Data, Reader, Row } from '@skrei/state-store'
import type { AnyStateMachine } from 'xstate'
import { compile, type Run, type Stepped } from './compiled.ts'
import type { Ended } from './ended.ts'
import type { ObjectEvent, Output } from './event.ts'

/** What a kind of object holds of the node's capacity: milli-CPU, bytes, bytes, device ids. */
export interface Holding {
  readonly cpu: number
  readonly memory: number
  readonly disk: number
  readonly devices: readonly string[]
}

/** A kind of object: its machine, and how the kernel serves it. */
export interface Kind {
  readonly kind: string
  readonly machine: AnyStateMachine
  /** The event that makes a new object of this kind; it carries the object's context. Every machine begins in `new`, which is never stored. */
  readonly creates: string
  /** The machine never reads the store: what it must know is handed to it, read in the same transaction. */
  facts(reader: Reader, id: string, row: Row | undefined, event: ObjectEvent): object
  parent(context: Data): string | undefined
  /** The job whose history has its entries, besides its own. */
  group?(context: Data): string | undefined
  /** Its end is written down, so that it is forgotten, with all that belongs to it, once it was kept long enough. */
  readonly forgotten?: true
  /** What is kept of a final object's context; all that `late` reads. Default: all of it. */
  remains?(state: string, context: Data): Data
  /** Of a final object, of which there may be any number: who is to blame for it. Of theirs, `outlived` says which are forgotten, now that one more has ended as `row`. */
  blamed?(state: string, context: Data): string | undefined
  outlived?(reader: Reader, blamed: string, row: string): readonly Ended[]
  /** What the object holds in a state; absent = nothing, ever. */
  holds?(state: string, context: Data): Holding | undefined
  /** Who is the peer of objects of this kind: a deadline that such an owner misses is about another node. */
  readonly peer?: StateMeta['owner']
  /** Of an object that speaks about many things (a shard about its asks): which of them it still speaks about. */
  keeps?(context: Data, subject: string): boolean
  /**
   * What an effect comes to of which is known already that it has nothing to do in the world: the turn that asks for it goes on with that. Absent, or undefined: it is
   * performed, once the turn is durable.
   */
  atOnce?(effect: string, context: Data): ObjectEvent | undefined
  /** How the object ends when an event of this node's own broke its machine, without the machine; absent: its deadline tries again. */
  breakOff?(reader: Reader, row: Row, detail: string): { readonly state: string; readonly context: Data; readonly outputs: readonly Output[] }
  /** Whether it is, or belongs to, an execution that is verified: its messages are part of a transcript, and signed. Absent: none is. */
  verified?(context: Data): boolean
  /** What to do about an event for an object that is final. */
  late?(state: string, context: Data, event: ObjectEvent): readonly Output[]
  /** What to do about an event for an object that is not there. */
  unknown?(id: string, event: ObjectEvent): readonly Output[]
}

/** The `meta` of every non-final state: who must act next, and within which time (ms) of entering the state. */
export interface StateMeta {
  readonly owner: 'requester' | 'compute' | 'job' | 'shard' | 'execution'
  readonly within: (context: never, now: number) => number
}

export interface Step {
  readonly state: string
  readonly open: boolean
  readonly context: Data
  readonly outputs: readonly Output[]
  /** Set when the state was entered anew, or its deadline fired: milliseconds from now. */
  readonly within?: number
}

export type Refused = { readonly refused: 'unknown-object' | 'final' | 'not-accepted'; readonly outputs: readonly Output[] }

const compiled = new WeakMap<AnyStateMachine, Run>()
const runOf = (machine: AnyStateMachine): Run => {
  const known = compiled.get(machine)
  if (known) return known
  const run = compile(machine)
  compiled.set(machine, run)
  return run
}

/** One step of one object: pure. */
export const advance = (kind: Kind, id: string, row: Row | undefined, event: ObjectEvent, facts: object, now: number): Step | Refused => {
  if (row === undefined && event.type !== kind.creates) return { refused: 'unknown-object', outputs: kind.unknown?.(id, event) ?? [] }
  if (row?.open === false) return { refused: 'final', outputs: kind.late?.(row.state, row.data, event) ?? [] }
  const full: ObjectEvent = { ...event, known: facts, now }
  const stepped = runOf(kind.machine)(row?.state ?? 'new', row?.data ?? event['context'], full)
  if (stepped === undefined) return { refused: 'not-accepted', outputs: [] }
  return outcome(kind, stepped, event.type === 'deadline' ? undefined : row?.state, now)
}

const outcome = (kind: Kind, { state, final, context: stepped, emitted }: Stepped, before: string | undefined, now: number): Step => {
  const context = stepped as Data
  const lists = emitted as readonly (readonly Output[])[]
  const outputs = lists.length === 1 && lists[0] !== undefined ? lists[0] : lists.flat()
  if (final || state === before) return { state, open: !final, context, outputs }
  const meta = kind.machine.states[state]?.meta as StateMeta | undefined
  if (meta === undefined) throw new Error(`state ${kind.kind}.${state} has no owner and no deadline`)
  return { state, open: true, context, outputs, within: Math.max(0, (meta.within as (context: Data, now: number) => number)(context, now)) }
}

/** A state's owner and deadline. The kernel writes the deadline's row from it; there are no timers in machines. */
export const meta = <Context>(owner: StateMeta['owner'], within: (context: Context, now: number) => number): StateMeta => ({
  owner,
  within: within as StateMeta['within'],
})
