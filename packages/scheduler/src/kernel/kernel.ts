import type { OutboxEntry, StateStore } from '@skrei/state-store'
import type { Clock } from '@skrei/transport'
import type { KernelEvent, Transition } from './event.ts'
import { type TurnContext, turn } from './turn.ts'

/** Collects what waits, runs one turn for all of it, and tells those who wait once it is durable. */
export interface Kernel {
  /** Resolves once the events are durably applied and the effects `done` are off the outbox. `unhurried`: nobody waits for it, the next turn takes it along. */
  submit(events: readonly KernelEvent[], done?: readonly number[], options?: { readonly unhurried?: boolean }): Promise<void>
  /**
   * Takes effects off the outbox that may be performed again: with the next turn, or the one that is made for them a little later. A node that is killed before performs
   * them again.
   */
  forget(done: readonly number[]): void
  /** Begins to fire deadlines. */
  start(): void
  /** Fires no deadlines any more. */
  stop(): void
  /** Applies what waits now, and not with the next turn: a node that stops has nothing to do again. */
  flush(): void
  onTransition(listener: (transition: Transition) => void): Disposable
  /** Called after every turn, with the effects that it wrote, and those that it took back. */
  onTurn(listener: (effects: readonly OutboxEntry[], dropped: readonly OutboxEntry[]) => void): Disposable
}

/** Of one turn, unless one submission has more: so that nothing else of the process waits long. */
const eventsPerTurn = 256
/** How long effects wait to be taken off the outbox when nothing happens; milliseconds. */
const forgetAfter = 100
/** How long what nobody waits for waits for a turn; milliseconds. */
const unhurriedAfter = 10

/** After a turn that could not be written, when deadlines are looked at again; milliseconds. */
const failedPause = 1000

interface Submission {
  readonly events: readonly KernelEvent[]
  readonly done: readonly number[]
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export const createKernel = ({
  store,
  clock,
  context,
  beforeTurn,
  failed,
}: {
  readonly store: StateStore
  readonly clock: Clock
  readonly context: TurnContext
  readonly beforeTurn: () => void
  /** A turn failed: it may be written, or not. */
  readonly failed?: () => void
}): Kernel => {
  const listeners = new Set<(transition: Transition) => void>()
  const turnListeners = new Set<(effects: readonly OutboxEntry[], dropped: readonly OutboxEntry[]) => void>()
  let waiting: Submission[] = []
  let forgotten: number[] = []
  let forgetting: Disposable | undefined
  let lingering: Disposable | undefined
  let scheduled = false
  let running = false
  let alarm: Disposable | undefined
  /** No deadline is due before. To ask the store after each turn would cost more than to be woken once in a while for one that was moved. */
  let dueAt = Number.NEGATIVE_INFINITY

  /** All that arrives in one pass of the event loop shares a turn, which is one commit. */
  const schedule = (): void => {
    if (scheduled) return
    scheduled = true
    clock.soon(() => {
      scheduled = false
      if (waiting.length > 0 || forgotten.length > 0) run()
    })
  }

  const run = (): void => {
    const batch = takeBatch()
    const done = batch.flatMap((submission) => submission.done).concat(forgotten)
    const late = forgotten
    forgotten = []
    try {
      // It may write, and then fails as a turn does.
      beforeTurn()
      const { transitions, effects, dropped, earliest } = turn(
        store,
        context,
        batch.flatMap(({ events }) => events),
        done,
        clock.now(),
        dueAt,
      )
      if (earliest < dueAt) wakeAt(earliest)
      for (const { resolve } of batch) resolve()
      for (const transition of transitions) for (const listener of listeners) guarded(() => listener(transition))
      for (const listener of turnListeners) guarded(() => listener(effects, dropped))
    } catch (error) {
      forgotten.push(...late)
      guarded(() => context.undone?.())
      guarded(() => failed?.())
      for (const { reject } of batch) reject(error)
      // What is due is tried again after a pause: a full disk is no reason to turn without end.
      if (alarm === undefined) wakeAt(clock.now() + failedPause)
    }
    if (alarm === undefined) guarded(arm)
    if (waiting.length > 0) schedule()
  }

  /** Whole submissions, in order. */
  const takeBatch = (): readonly Submission[] => {
    let events = 0
    const end = waiting.findIndex((submission, index) => {
      events += submission.events.length
      return index > 0 && events > eventsPerTurn
    })
    const batch = end === -1 ? waiting : waiting.slice(0, end)
    waiting = end === -1 ? [] : waiting.slice(end)
    return batch
  }

  /** A listener that throws, or a store that is closing, stops neither the others nor the node. */
  const guarded = (call: () => void): void => {
    try {
      call()
    } catch (error) {
      context.report(error)
    }
  }

  const submit: Kernel['submit'] = (events, done = [], { unhurried = false } = {}) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    waiting.push({ events, done, resolve, reject })
    if (!unhurried) schedule()
    else
      lingering ??= clock.at(clock.now() + unhurriedAfter, () => {
        lingering = undefined
        if (waiting.length > 0) schedule()
      })
    return promise
  }

  const forget = (done: readonly number[]): void => {
    forgotten.push(...done)
    if (forgetting !== undefined) return
    forgetting = clock.at(clock.now() + forgetAfter, () => {
      forgetting = undefined
      if (forgotten.length > 0) schedule()
    })
  }

  const nextDeadline = (): number => store.read((reader) => reader.nextDeadline()) ?? Infinity

  const arm = (): void => {
    if (running) wakeAt(nextDeadline())
  }

  const wakeAt = (time: number): void => {
    if (!running) return
    alarm?.[Symbol.dispose]()
    dueAt = time
    alarm = clock.at(time, fire)
  }

  const sleep = (): void => {
    alarm?.[Symbol.dispose]()
    alarm = undefined
    dueAt = Number.NEGATIVE_INFINITY
  }

  /** Every turn handles what is due; this one has nothing else to do. */
  const fire = (): void => {
    sleep()
    guarded(() => {
      const next = nextDeadline()
      if (next > clock.now()) wakeAt(next)
      else if (running) void submit([]).catch(() => {})
    })
  }

  const listen = <T>(set: Set<T>, listener: T): Disposable => {
    set.add(listener)
    return { [Symbol.dispose]: () => void set.delete(listener) }
  }

  return {
    submit,
    forget,
    start: () => {
      running = true
      arm()
    },
    stop: () => {
      running = false
      sleep()
    },
    flush: () => {
      forgetting?.[Symbol.dispose]()
      forgetting = undefined
      lingering?.[Symbol.dispose]()
      lingering = undefined
      if (forgotten.length > 0) run()
      while (waiting.length > 0) run()
    },
    onTransition: (listener) => listen(listeners, listener),
    onTurn: (listener) => listen(turnListeners, listener),
  }
}
