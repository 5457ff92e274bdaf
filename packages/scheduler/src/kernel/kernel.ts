import type { StateStore } from '@skrei/state-store'
import type { Clock } from '@skrei/transport'
import type { KernelEvent, Transition } from './event.ts'
import { type TurnContext, turn } from './turn.ts'

/** Collects what waits, runs one turn for all of it, and tells those who wait once it is durable. */
export interface Kernel {
  /** Resolves once the events are durably applied and the effects `done` are off the outbox. */
  submit(events: readonly KernelEvent[], done?: readonly number[]): Promise<void>
  /** Begins to fire deadlines. */
  start(): void
  stop(): void
  onTransition(listener: (transition: Transition) => void): Disposable
  /** Called after every turn: there may be new effects. */
  onTurn(listener: () => void): Disposable
}

export const createKernel = ({
  store,
  clock,
  context,
  beforeTurn,
}: {
  readonly store: StateStore
  readonly clock: Clock
  readonly context: TurnContext
  readonly beforeTurn: () => void
}): Kernel => {
  const listeners = new Set<(transition: Transition) => void>()
  const turnListeners = new Set<() => void>()
  let waiting: {
    readonly events: readonly KernelEvent[]
    readonly done: readonly number[]
    readonly resolve: () => void
    readonly reject: (error: unknown) => void
  }[] = []
  let scheduled = false
  let running = false
  let alarm: Disposable | undefined
  let alarmAt = Infinity

  const run = (): void => {
    scheduled = false
    beforeTurn()
    const batch = waiting
    waiting = []
    try {
      const transitions = turn(
        store,
        context,
        batch.flatMap(({ events }) => events),
        batch.flatMap(({ done }) => done),
        clock.now(),
      )
      for (const { resolve } of batch) resolve()
      for (const transition of transitions) for (const listener of listeners) guarded(() => listener(transition))
      for (const listener of turnListeners) guarded(listener)
    } catch (error) {
      guarded(() => context.undone?.())
      for (const { reject } of batch) reject(error)
    }
    guarded(arm)
  }

  /** A listener that throws, or a store that is closing, stops neither the others nor the node. */
  const guarded = (call: () => void): void => {
    try {
      call()
    } catch (error) {
      context.report(error)
    }
  }

  const submit = (events: readonly KernelEvent[], done: readonly number[] = []): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    waiting.push({ events, done, resolve, reject })
    if (!scheduled) {
      scheduled = true
      queueMicrotask(run)
    }
    return promise
  }

  const arm = (): void => {
    if (!running) return
    const next = store.read((reader) => reader.nextDeadline()) ?? Infinity
    if (next >= alarmAt && alarm !== undefined) return
    alarm?.[Symbol.dispose]()
    alarm = undefined
    alarmAt = next
    if (next !== Infinity) alarm = clock.at(next, fire)
  }

  /** Every turn handles what is due; this one has nothing else to do. */
  const fire = (): void => {
    alarm = undefined
    alarmAt = Infinity
    if (running) void submit([]).catch(() => {})
  }

  const listen = <T>(set: Set<T>, listener: T): Disposable => {
    set.add(listener)
    return { [Symbol.dispose]: () => void set.delete(listener) }
  }

  return {
    submit,
    start: () => {
      running = true
      arm()
    },
    stop: () => {
      running = false
      alarm?.[Symbol.dispose]()
      alarm = undefined
      alarmAt = Infinity
    },
    onTransition: (listener) => listen(listeners, listener),
    onTurn: (listener) => listen(turnListeners, listener),
  }
}
