import type { Incarnation } from '@skrei/protocol'
import type { Data, Effect, OutboxEntry, Row, StateStore, Transaction } from '@skrei/state-store'
import { endedRow, longestResend } from './ended.ts'
import { type KernelEvent, laneOf, type SendOutput, type Transition } from './event.ts'
import { forgetObject } from './forget-object.ts'
import { moveLedger } from './ledger.ts'
import { advance, type Kind, type Step } from './machine.ts'
import { type RecordContext, recordRefusal, recordTransition, recordUndeliverable } from './record.ts'
import { answersAgain, fillSlots, judge, slotsOf } from './slots.ts'

/** What a turn needs besides the store. */
export interface TurnContext extends RecordContext {
  readonly kinds: Readonly<Record<string, Kind>>
  /** The bytes of a message: fixed in the transaction that writes the outbox row. `by`: as which incarnation of this node. `verified`: its execution has a transcript. */
  readonly encode: (output: SendOutput, by: Incarnation, verified: boolean) => Uint8Array
  readonly incarnation: () => Incarnation
  /** A message that says other than an earlier one in its slot did: nothing changed. */
  readonly equivocated: (event: KernelEvent, slot: string) => void
  /** Told in the same transaction that capacity has become free: what may go on now. */
  readonly freed: (transaction: Transaction) => readonly Pick<KernelEvent, 'kind' | 'id' | 'event'>[]
  /** Told of every change in the transaction that writes it, for copies in memory; returns whether `freed` is to be asked. */
  readonly saved?: (transition: Transition) => boolean
  /** Something that `saved` was told of was undone: copies are to be read again. */
  readonly undone?: () => void
  /** An event that broke the machine that got it: recorded and logged, the rest of the turn goes on. */
  readonly fault: (event: KernelEvent, error: unknown) => void
  /** What waits to be performed or is being performed, and what of it ends something else: that goes on when its object does. Absent: nothing is performed. */
  readonly pending?: { readonly of: (lane: string) => readonly OutboxEntry[]; readonly interrupting: ReadonlySet<string> }
  /** Until when a deadline waits that must not fire now. */
  readonly held: (kind: Kind, state: string) => number | undefined
  /** Something else went wrong that must not stop the node. */
  readonly report: (error: unknown) => void
}

const deadlinesPerTurn = 256
/** After a fault, when a deadline is tried again; milliseconds. */
const faultPause = 60_000

/** What a turn came to. */
export interface Turned {
  readonly transitions: readonly Transition[]
  /** What it wrote into the outbox, in order. */
  readonly effects: readonly OutboxEntry[]
  /** What it took off the outbox because its object has moved on: whoever performs it stops. */
  readonly dropped: readonly OutboxEntry[]
  /** The earliest deadline that it set. */
  readonly earliest: number
}

/** A turn under way. */
interface Turn {
  readonly transitions: Transition[]
  readonly effects: OutboxEntry[]
  readonly dropped: OutboxEntry[]
  /** By lane: those of `effects` that are no messages. */
  readonly lanes: Map<string, OutboxEntry[]>
  earliest: number
}

/**
 * The loop: everything that happens inside a node happens here. One turn is one store transaction; each event is isolated by a savepoint;
 * what it tells other objects is handled before it ends. Nothing outside has been touched when this returns.
 *
 * @param dueAt no deadline that was set before is due earlier
 */
export const turn = (
  store: StateStore,
  context: TurnContext,
  events: readonly KernelEvent[],
  done: readonly number[],
  now: number,
  dueAt = Number.NEGATIVE_INFINITY,
): Turned =>
  store.transact((transaction) => {
    const turned: Turn = { transitions: [], effects: [], dropped: [], lanes: new Map(), earliest: Infinity }
    /** Does it, or nothing of it; returns why not. */
    const nested = (run: () => void): { readonly error: unknown } | undefined => {
      const { transitions, effects, dropped, lanes } = turned
      const before = [transitions.length, effects.length, dropped.length] as const
      try {
        transaction.nested(run)
        return undefined
      } catch (error) {
        transitions.length = before[0]
        effects.length = before[1]
        dropped.length = before[2]
        lanes.clear()
        for (const effect of effects) addToLane(turned, effect)
        context.undone?.()
        return { error }
      }
    }
    /** Returns whether the event was handled, or its object ended because of it. */
    const isolate = (first: KernelEvent): boolean => {
      const broke = { at: first }
      const failed = nested(() => handle(transaction, context, first, now, turned, broke))
      if (failed === undefined) return true
      context.fault(first, failed.error)
      recordFault(transaction, context, first, failed.error, now)
      // A peer must not end anything by a message that breaks something, nor a disk that fails once.
      if (first.fills !== undefined || isOfTheStore(failed.error)) return false
      const { at } = broke
      if (at.id === first.id && at.kind === first.kind) return breakOff(first, failed.error)
      // Another object broke, by what this one told it: without it, this one may go on. One that is not there yet leaves the one that made it.
      return breakOff(at, failed.error) ? isolate(first) : breakOff(first, failed.error)
    }
    /** Nobody would ever hear of the event again: its object must not wait for it in silence. */
    const breakOff = (event: KernelEvent, error: unknown): boolean => {
      const kind = context.kinds[event.kind]
      const row = transaction.get(event.kind, event.id)
      if (row?.open !== true || kind?.breakOff === undefined) return false
      const { state, context: data, outputs } = kind.breakOff(transaction, row, `${event.event.type} broke the ${event.kind} of this node: ${String(error)}`)
      const failed = nested(() => {
        const slots = fillSlots(row, event.id, context.incarnation())
        for (const output of outputs) if (output.do === 'send') enqueue(transaction, messageOf(event, slots.say(output), context, kind, row.data, now), turned)
        save(transaction, context, kind, row, event, { state, open: false, context: data, outputs: [] }, slots, now, turned)
      })
      if (failed !== undefined) {
        context.report(failed.error)
        return false
      }
      for (const output of outputs)
        if (output.do === 'tell') isolate({ kind: output.kind, id: output.id, event: output.event, actor: `${event.kind} ${event.id}` })
      return true
    }
    for (const outboxId of done) transaction.done(outboxId)
    for (const event of events) isolate(event)
    // Read one by one, here: a deadline that an event of this turn has moved, or another deadline, is not due.
    for (let fired = 0; fired < deadlinesPerTurn && Math.min(dueAt, turned.earliest) <= now; fired++) {
      const [deadline] = transaction.due(now, 1)
      if (deadline === undefined) break
      const { kind, id } = deadline
      const row = transaction.get(kind, id)
      const of = context.kinds[kind]
      const held = row && of && context.held(of, row.state)
      setDeadline(transaction, kind, id, held, turned)
      if (held === undefined && !isolate({ kind, id, event: { type: 'deadline' }, actor: 'clock' }))
        setDeadline(transaction, kind, id, now + faultPause, turned)
    }
    const { transitions, dropped, earliest } = turned
    const gone = new Set(dropped)
    const effects = gone.size === 0 ? turned.effects : turned.effects.filter((effect) => !gone.has(effect))
    return { transitions, effects, dropped, earliest }
  })

const recordFault = (transaction: Transaction, context: TurnContext, event: KernelEvent, error: unknown, now: number): void => {
  const kind = context.kinds[event.kind]
  if (kind) recordRefusal(transaction, context, kind, transaction.get(event.kind, event.id), event, { fault: String(error).slice(0, 1000) }, now)
}

/** The disk's doing, not the event's: what the object would do about it again is the same. */
const isOfTheStore = (error: unknown): boolean =>
  error instanceof Error && error.name === 'StateStoreError' && ['store-unavailable', 'store-closed'].includes(String((error as { code?: unknown }).code))

/** `broke.at`: which event was under way, should it throw. */
const handle = (transaction: Transaction, context: TurnContext, first: KernelEvent, now: number, turned: Turn, broke: { at: KernelEvent }): void => {
  for (const row of first.records ?? []) transaction.put(row)
  const queue: KernelEvent[] = [first]
  // It grows while it is gone through.
  for (const event of queue) {
    broke.at = event
    const kind = context.kinds[event.kind]
    if (kind === undefined) throw new Error(`no machine for ${event.kind}`)
    const row = transaction.get(event.kind, event.id)
    if (event.event.type === 'undeliverable') {
      recordUndeliverable(transaction, context, kind, row, event, now)
      continue
    }
    // Something of this node's failed beside its machines: history has it.
    if (event.event.type === 'fault') {
      recordRefusal(transaction, context, kind, row, event, { fault: String(event.event['fault']).slice(0, 1000) }, now)
      continue
    }
    if (row !== undefined && !isNews(transaction, context, kind, row, event, now, turned)) continue
    // What is over decides nothing any more, and has not kept what facts are made of.
    const facts = row?.open === false ? {} : kind.facts(transaction, event.id, row, event.event)
    const step = advance(kind, event.id, row, event.event, facts, now)
    const slots = fillSlots(row, event.id, context.incarnation())
    if (event.fills) slots.hear(event.fills.slot, event.fills.digest)
    const { kind: from, id: by } = event
    // What its state asked for ends with the state (PROTOCOL.md rule 10); what the new one asks for comes after this.
    if (row !== undefined && 'state' in step && step.state !== row.state) dropOvertaken(transaction, context, `${from} ${by}`, step.open, turned)
    const data = 'context' in step ? step.context : row?.data
    for (const output of step.outputs) {
      if (output.do === 'tell') queue.push({ kind: output.kind, id: output.id, event: output.event, actor: `${from} ${by}` })
      else if (output.do === 'send') enqueue(transaction, messageOf(event, slots.say(output), context, kind, data, now), turned)
      else {
        const lane = `${from} ${by}`
        const known = 'context' in step && isIdle(context, lane, turned) ? kind.atOnce?.(output.type, step.context) : undefined
        if (known) queue.push({ kind: from, id: by, event: known, actor: output.type })
        else enqueue(transaction, { kind: from, id: by, type: output.type, lane, data: output.data }, turned)
      }
    }
    let freed = false
    if ('refused' in step) {
      recordRefusal(transaction, context, kind, row, event, { refused: step.refused }, now)
      if (row !== undefined && slots.changed()) transaction.put({ ...row, data: slots.into(row.data) })
    } else freed = save(transaction, context, kind, row, event, step, slots, now, turned)
    if (freed) queue.push(...context.freed(transaction).map((next) => ({ ...next, actor: `${from} ${by}` })))
  }
}

const setDeadline = (transaction: Transaction, kind: string, id: string, at: number | undefined, turned: Turn): void => {
  transaction.deadline(kind, id, at)
  if (at !== undefined) turned.earliest = Math.min(turned.earliest, at)
}

const enqueue = (transaction: Transaction, effect: Effect, turned: Turn): void => {
  const entry = { ...effect, outboxId: transaction.enqueue(effect) }
  turned.effects.push(entry)
  addToLane(turned, entry)
}

/** What comes to something at once overtakes nothing. */
const isIdle = ({ pending }: TurnContext, lane: string, { lanes }: Turn): boolean => !lanes.has(lane) && (pending?.of(lane).length ?? 0) === 0

const addToLane = ({ lanes }: Turn, entry: OutboxEntry): void => {
  if (entry.type === 'send') return
  const lane = lanes.get(entry.lane)
  if (lane) lane.push(entry)
  else lanes.set(entry.lane, [entry])
}

/** Off the outbox with what an object no longer waits for. What ends something that may run stays, in its order, until the object is final. */
const dropOvertaken = (transaction: Transaction, { pending }: TurnContext, lane: string, open: boolean, { dropped, lanes }: Turn): void => {
  for (const entries of [pending?.of(lane) ?? [], lanes.get(lane) ?? []])
    for (const entry of entries) {
      if ((open && pending?.interrupting.has(entry.type)) || dropped.includes(entry)) continue
      transaction.done(entry.outboxId)
      dropped.push(entry)
    }
}

type Filled = ReturnType<typeof fillSlots>

/** What was said before is answered as before and changes nothing, nor does what contradicts it. */
const isNews = (transaction: Transaction, context: TurnContext, kind: Kind, row: Row, event: KernelEvent, now: number, turned: Turn): boolean => {
  const { actor, fills } = event
  if (fills === undefined) return true
  const slots = slotsOf(row.data)
  const news = judge(slots, fills)
  if (news === 'repeated')
    for (const answer of answersAgain(slots, fills.slot, actor)) enqueue(transaction, messageOf(event, answer, context, kind, row.data, now), turned)
  if (news === 'equivocation') {
    const contradicted = { ...slots, heard: { ...slots.heard, [fills.slot]: `${slots.heard[fills.slot]}!` } }
    transaction.put({ ...row, data: { ...(row.data as object), slots: contradicted } as unknown as Data })
    recordRefusal(transaction, context, kind, row, event, { refused: news }, now)
  }
  if (news === 'equivocation' || news === 'too-many') context.equivocated(event, fills.slot)
  return news === 'new'
}

/** Writes down that it ended, and forgets what it outlives: it is remembered instead. */
const end = (transaction: Transaction, kind: Kind, id: string, state: string, data: Data, now: number): void => {
  const blamed = kind.blamed?.(state, data)
  const ended = endedRow(kind.kind, id, now, blamed)
  transaction.put(ended)
  if (blamed === undefined) return
  for (const { kind: of, id: old, row } of kind.outlived?.(transaction, blamed, ended.id) ?? []) {
    forgetObject(transaction, of, old)
    transaction.remove('ended', row)
  }
}

/** Writes the row, its history, its deadline and what it holds. Returns whether capacity became free. */
const save = (
  transaction: Transaction,
  context: TurnContext,
  kind: Kind,
  before: Row | undefined,
  event: KernelEvent,
  step: Step,
  slots: Filled,
  now: number,
  turned: Turn,
): boolean => {
  const { state, open } = step
  const data = open ? step.context : (kind.remains?.(state, step.context) ?? step.context)
  const parent = kind.parent(data)
  // Slots are not the object's state: what only fills one is no new version, and what changes nothing writes nothing.
  const changed = before === undefined || before.state !== state || before.data !== data
  if (changed || slots.changed())
    transaction.put({
      kind: event.kind,
      id: event.id,
      ...(parent !== undefined && { parent }),
      state,
      open,
      version: (before?.version ?? 0) + (changed ? 1 : 0),
      data: slots.into(data, kind.keeps && ((subject) => kind.keeps?.(data, subject) === true)),
    })
  if (!open) setDeadline(transaction, event.kind, event.id, undefined, turned)
  else if (step.within !== undefined) setDeadline(transaction, event.kind, event.id, now + step.within, turned)
  if (!open && kind.forgotten) end(transaction, kind, event.id, state, data, now)
  if (state !== before?.state) recordTransition(transaction, context, kind, event, { from: before?.state, to: state, data }, now)
  const transition: Transition = {
    kind: event.kind,
    id: event.id,
    at: now,
    event: event.event,
    actor: event.actor,
    ...(before && { from: before.state }),
    to: state,
    context: data,
    open,
  }
  turned.transitions.push(transition)
  const isFreed = context.saved?.(transition) ?? false
  if (kind.holds === undefined) return isFreed
  return moveLedger(transaction, event.id, before && kind.holds(before.state, before.data), kind.holds(state, data)) || isFreed
}

const messageOf = (
  event: KernelEvent,
  { output, by }: ReturnType<Filled['say']>,
  context: TurnContext,
  kind: Kind,
  data: Data | undefined,
  now: number,
): Effect => ({
  kind: event.kind,
  id: event.id,
  type: 'send',
  lane: laneOf(output.to),
  data: { to: output.to, message: output.type, dropAt: now + Math.min(output.expires, longestResend) },
  bytes: context.encode(output, by, data !== undefined && kind.verified?.(data) === true),
})
