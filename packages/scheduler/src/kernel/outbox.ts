import type { OutboxEntry, StateStore } from '@skrei/state-store'
import { boundedRejections, type Clock, type Rejection, type Transport, TransportError } from '@skrei/transport'
import { unlessAborted } from '../unless-aborted.ts'
import { type KernelEvent, laneOf, type ObjectEvent } from './event.ts'
import type { Kernel } from './kernel.ts'
import { staleOf } from './stale.ts'

/** Performs one effect. What it returns goes back to the object as an event; throwing is a fault of the node. May run twice: idempotent. */
export type Performer = (
  entry: OutboxEntry,
  options: { readonly signal: AbortSignal; readonly report: (events: readonly KernelEvent[]) => Promise<void> },
) => Promise<ObjectEvent | undefined>

export interface OutboxOptions {
  readonly store: StateStore
  readonly kernel: Kernel
  readonly clock: Clock
  readonly transport: Transport
  readonly random: () => number
  /** By effect type. `send` is the runner's own. */
  readonly performers: Readonly<Record<string, Performer>>
  /** Effects that end what runs for their object before they begin. */
  readonly interrupting: ReadonlySet<string>
  /** What an effect that threw comes to; undefined: it is tried again. */
  readonly failed: (entry: OutboxEntry, error: unknown) => ObjectEvent | undefined
  /** What it means that the peer refused a message for good. */
  readonly rejected: (entry: OutboxEntry, rejection: Rejection) => readonly KernelEvent[]
  /** What went wrong and stops nothing. */
  readonly report: (error: unknown) => void
}

export interface Outbox {
  /** Performs what an earlier run of the node left. */
  resume(): void
  /** Performs what a turn wrote, which is durable; ends what it took back. */
  accept(entries: readonly OutboxEntry[], dropped?: readonly OutboxEntry[]): void
  /** A peer was heard: what waits for the next attempt to reach it need not wait longer. */
  heard(peer: string): void
  /** How many messages wait to be sent, or to be acknowledged. */
  unsent(): number
  /** What is not performed whole of a lane that is no peer's. */
  pending(lane: string): readonly OutboxEntry[]
  /**
   * Resolves once every message that waits now has left, or is dropped, or its peer could not be reached: the next start sends it then. Rejects with the signal's reason.
   */
  said(options: { readonly signal: AbortSignal }): Promise<void>
  /** Aborts what runs; entries stay and are performed by the next start. */
  stop(): Promise<void>
}

const framesOf = 256
/** A frame holds no more, unless it is one message. */
const frameBytes = 4 * 2 ** 20
const firstPause = 100
/**
 * Messages that nobody waits for: that something has begun, or is over. What comes of it soon, or the next message to the same node, takes them along, which is one frame, one
 * acknowledgement and one turn of the peer less for each.
 */
const unhurried: ReadonlySet<string> = new Set(['awarded', 'settle'])
/** How long these wait at most; milliseconds. */
const longestLinger = 20
/** Effects whose result nobody waits for: it joins the next turn. */
const unhurriedEffects: ReadonlySet<string> = new Set(['clean'])
const longestPause = 10_000

interface Lane {
  readonly entries: OutboxEntry[]
  busy: boolean
  /** Whether some of it was written before this run of the node, or could not be sent at once. */
  waited: boolean
  controller?: AbortController
  /** An attempt to send failed, and the next one is not made yet. */
  isPausing?: true
  /** Ends the pause. */
  wake?: () => void
  /** Set while all of it lingers. */
  lingering?: Disposable
  /** The one that is being performed is not wanted any more: what comes of it concerns nobody. */
  isFirstDropped?: boolean
}

/** The only one that touches the world: reads effects that are durable and performs them, in order within a lane, lanes side by side. */
export const createOutbox = (options: OutboxOptions): Outbox => {
  const { store, kernel, clock, transport } = options
  const lanes = new Map<string, Lane>()
  const running = new Set<Promise<void>>()
  /** Called whenever messages have left, or could not. */
  const listeners = new Set<() => void>()
  const stopping = new AbortController()

  const enter = (entries: readonly OutboxEntry[], waited: boolean): void => {
    for (const entry of entries) {
      const lane = lanes.get(entry.lane) ?? { entries: [], busy: false, waited }
      lanes.set(entry.lane, lane)
      if (options.interrupting.has(entry.type)) lane.controller?.abort(new DOMException(`interrupted by ${entry.type}`, 'AbortError'))
      lane.entries.push(entry)
    }
  }

  /** What waits for a peer is there whole before the first of it leaves. What an object that is over asked for is not performed again. */
  const resume = (): void => {
    for (let after = 0; ; ) {
      const { entries, over } = store.read((reader) => {
        const all = reader.pending(after, 1000)
        return { entries: all, over: new Set(all.filter((entry) => entry.type !== 'send' && reader.get(entry.kind, entry.id)?.open !== true)) }
      })
      enter(over.size === 0 ? entries : entries.filter((entry) => !over.has(entry)), true)
      if (over.size > 0) kernel.forget([...over].map(({ outboxId }) => outboxId))
      after = entries.at(-1)?.outboxId ?? after
      if (entries.length < 1000) break
    }
    for (const [name, lane] of lanes) if (!lane.busy) drain(name, lane)
  }

  /** All of a turn first: what goes to one peer leaves together. */
  const accept = (entries: readonly OutboxEntry[], dropped: readonly OutboxEntry[] = []): void => {
    if (stopping.signal.aborted) return
    for (const entry of dropped) drop(entry)
    enter(entries, false)
    for (const { lane: name } of entries) {
      const lane = lanes.get(name)
      if (lane && !lane.busy) begin(name, lane)
    }
  }

  /** A node does not keep itself waiting: it has no frames to save. */
  const lingers = (lane: Lane): boolean =>
    !lane.waited && lane.entries.every((entry) => entry.type === 'send' && unhurried.has(send(entry).message) && send(entry).to !== transport.self)

  const begin = (name: string, lane: Lane): void => {
    if (lingers(lane)) {
      lane.lingering ??= clock.at(clock.now() + longestLinger, () => {
        delete lane.lingering
        if (!lane.busy && !stopping.signal.aborted) drain(name, lane)
      })
      return
    }
    lane.lingering?.[Symbol.dispose]()
    delete lane.lingering
    drain(name, lane)
  }

  const drop = ({ lane: name, outboxId }: OutboxEntry): void => {
    const lane = lanes.get(name)
    const index = lane?.entries.findIndex((entry) => entry.outboxId === outboxId) ?? -1
    if (lane === undefined || index < 0) return
    if (index > 0 || lane.controller === undefined) lane.entries.splice(index, 1)
    else {
      lane.isFirstDropped = true
      lane.controller.abort(new DOMException('its object has moved on', 'AbortError'))
    }
  }

  const told = (): void => {
    for (const look of listeners) look()
  }

  const drain = (name: string, lane: Lane): void => {
    lane.busy = true
    const work = (async () => {
      do {
        await (lane.entries[0]?.type === 'send' ? sendFrame(lane) : performOne(lane))
        told()
      } while (lane.entries.length > 0 && !stopping.signal.aborted && !lingers(lane))
      lane.busy = false
      if (lane.entries.length === 0) lanes.delete(name)
      else if (!stopping.signal.aborted) begin(name, lane)
    })().catch(options.report)
    running.add(work)
    void work.finally(() => running.delete(work))
  }

  const isInterrupting = ({ type }: OutboxEntry): boolean => options.interrupting.has(type)

  /** One effect, until it has come to something: a failure that decides nothing is tried again, unless something that interrupts waits behind it. */
  const performOne = async (lane: Lane): Promise<void> => {
    const entry = lane.entries[0]
    if (entry === undefined) return
    let event: ObjectEvent | undefined
    for (let attempt = 0; ; attempt++) {
      const controller = new AbortController()
      lane.controller = controller
      const { signal } = controller
      if (lane.isFirstDropped || (lane.entries.length > 1 && lane.entries.slice(1).some(isInterrupting))) controller.abort()
      try {
        signal.throwIfAborted()
        event = await options.performers[entry.type]?.(entry, { signal, report: (events) => kernel.submit(events) })
        break
      } catch (error) {
        if (stopping.signal.aborted) return
        if (controller.signal.aborted) break
        event = options.failed(entry, error)
        if (event !== undefined) break
        await pause(backoff(attempt), signal)
      }
    }
    if (stopping.signal.aborted) return
    const isDropped = lane.isFirstDropped === true
    lane.entries.shift()
    delete lane.controller
    delete lane.isFirstDropped
    if (isDropped) return
    if (event === undefined) kernel.forget([entry.outboxId])
    else await settle([entry], [{ kind: entry.kind, id: entry.id, event, actor: entry.type }])
  }

  /** All that waits for one peer leaves in one frame, in order; an unreachable peer holds up nobody else. */
  const sendFrame = async (lane: Lane): Promise<void> => {
    let most = framesOf
    for (let attempt = 0; lane.entries.length > 0 && !stopping.signal.aborted; attempt++) {
      const now = clock.now()
      // What leaves at once is not looked at: only what has waited may have been overtaken by what its object said since.
      const stale = lane.waited ? staleOf(lane.entries) : undefined
      const isOver = (entry: OutboxEntry): boolean => send(entry).dropAt <= now || stale?.has(entry) === true
      if (lane.entries.some(isOver)) {
        const all = lane.entries.splice(0)
        lane.entries.push(...all.filter((entry) => !isOver(entry)))
        kernel.forget(all.filter(isOver).map(({ outboxId }) => outboxId))
        continue
      }
      const frame = frameOf(lane.entries, most)
      const to = frame[0] === undefined ? '' : send(frame[0]).to
      try {
        const rejections = await transport.send(
          to,
          frame.map((entry) => entry.bytes ?? new Uint8Array()),
          { signal: stopping.signal },
        )
        lane.entries.splice(0, frame.length)
        // A message that is sent again changes nothing, so that what was sent need not be durable at once; what became of it must be.
        if (rejections.length === 0) kernel.forget(frame.map(({ outboxId }) => outboxId))
        else await settle(frame, rejectedOf(frame, rejections))
        return
      } catch (error) {
        if (stopping.signal.aborted) return
        if (isTooLarge(error)) {
          most = Math.floor(frame.length / 2)
          if (most > 0) continue
          // It will never get through: whoever wrote it learns so from its deadline.
          options.report(error)
          lane.entries.splice(0, 1)
          kernel.forget(frame.map(({ outboxId }) => outboxId))
          return
        }
        lane.waited = true
        lane.isPausing = true
        told()
        const whole = backoff(attempt)
        // Whoever is heard often, and not reached, is not tried more often than this.
        const least = Math.min(firstPause, whole)
        await pause(least, stopping.signal)
        const heard = new AbortController()
        lane.wake = () => heard.abort()
        await pause(whole - least, heard.signal)
        delete lane.wake
        delete lane.isPausing
      }
    }
  }

  /** A peer that refuses a message will refuse it again: it is not resent, and its object is told. */
  const rejectedOf = (frame: readonly OutboxEntry[], rejections: readonly Rejection[]): readonly KernelEvent[] =>
    boundedRejections(rejections, frame.length).flatMap((rejection) => {
      const entry = frame[rejection.index]
      return entry === undefined ? [] : options.rejected(entry, rejection)
    })

  const frameOf = (entries: readonly OutboxEntry[], most: number): readonly OutboxEntry[] => {
    let bytes = 0
    const end = entries.findIndex((entry, index) => {
      bytes += entry.bytes?.length ?? 0
      return index >= most || (index > 0 && bytes > frameBytes)
    })
    return end === -1 ? entries.slice() : entries.slice(0, end)
  }

  /** Takes entries off the outbox, with what came of them; a store that cannot write now is asked again. */
  const settle = async (entries: readonly OutboxEntry[], events: readonly KernelEvent[]): Promise<void> => {
    for (let attempt = 0; !stopping.signal.aborted; attempt++) {
      try {
        return await kernel.submit(
          events,
          entries.map(({ outboxId }) => outboxId),
          { unhurried: entries.every(({ type }) => unhurriedEffects.has(type)) },
        )
      } catch (error) {
        options.report(error)
        await pause(backoff(attempt), stopping.signal)
      }
    }
  }

  const backoff = (attempt: number): number => Math.min(longestPause, firstPause * 2 ** Math.min(attempt, 10)) * (0.5 + options.random())

  const pause = (milliseconds: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const end = (): void => {
        alarm[Symbol.dispose]()
        signal.removeEventListener('abort', end)
        stopping.signal.removeEventListener('abort', end)
        resolve()
      }
      const alarm = clock.at(clock.now() + milliseconds, end)
      signal.addEventListener('abort', end, { once: true })
      stopping.signal.addEventListener('abort', end, { once: true })
      if (signal.aborted || stopping.signal.aborted) end()
    })

  return {
    resume,
    accept,
    heard: (peer) => lanes.get(laneOf(peer))?.wake?.(),
    unsent: () => {
      let count = 0
      for (const { entries } of lanes.values()) if (entries[0]?.type === 'send') count += entries.length
      return count
    },
    pending: (lane) => lanes.get(lane)?.entries ?? [],
    said: async ({ signal }) => {
      const last = Math.max(0, ...[...lanes.values()].map(({ entries }) => entries.at(-1)?.outboxId ?? 0))
      const isSaid = (): boolean => [...lanes.values()].every(({ entries: [first], isPausing }) => first?.type !== 'send' || first.outboxId > last || isPausing)
      const { promise, resolve } = Promise.withResolvers<void>()
      const look = (): void => {
        if (isSaid()) resolve()
      }
      signal.throwIfAborted()
      listeners.add(look)
      try {
        look()
        await unlessAborted(promise, signal)
      } finally {
        listeners.delete(look)
      }
    },
    stop: async () => {
      const reason = new DOMException('the node is stopping', 'AbortError')
      stopping.abort(reason)
      for (const { controller, lingering } of lanes.values()) {
        controller?.abort(reason)
        lingering?.[Symbol.dispose]()
      }
      // Some of it may wait for a turn that is not hurried.
      kernel.flush()
      await Promise.allSettled(running)
    },
  }
}

interface Sent {
  readonly to: string
  readonly message: string
  readonly dropAt: number
}

const send = (entry: OutboxEntry): Sent => entry.data as unknown as Sent

const isTooLarge = (error: unknown): boolean => error instanceof TransportError && error.code === 'too-large'
