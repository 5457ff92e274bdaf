import type { OutboxEntry, StateStore } from '@skrei/state-store'
import type { Clock, Transport } from '@skrei/transport'
import type { KernelEvent, ObjectEvent } from './event.ts'
import type { Kernel } from './kernel.ts'

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
  /** What an effect that threw comes to. */
  readonly failed: (entry: OutboxEntry, error: unknown) => ObjectEvent | undefined
}

export interface Outbox {
  wake(): void
  /** Aborts what runs; entries stay and are performed by the next start. */
  stop(): Promise<void>
}

const framesOf = 256
const firstPause = 100
const longestPause = 10_000

interface Lane {
  readonly entries: OutboxEntry[]
  busy: boolean
  controller?: AbortController
}

/** The only one that touches the world: reads effects that are durable and performs them, in order within a lane, lanes side by side. */
export const createOutbox = (options: OutboxOptions): Outbox => {
  const { store, kernel, clock, transport } = options
  const lanes = new Map<string, Lane>()
  const running = new Set<Promise<void>>()
  const stopping = new AbortController()
  let seen = 0

  const wake = (): void => {
    if (stopping.signal.aborted) return
    for (;;) {
      const entries = store.read((reader) => reader.pending(seen, 1000))
      for (const entry of entries) {
        seen = entry.outboxId
        accept(entry)
      }
      if (entries.length < 1000) return
    }
  }

  const accept = (entry: OutboxEntry): void => {
    const lane = lanes.get(entry.lane) ?? { entries: [], busy: false }
    lanes.set(entry.lane, lane)
    if (options.interrupting.has(entry.type)) lane.controller?.abort(new DOMException(`interrupted by ${entry.type}`, 'AbortError'))
    lane.entries.push(entry)
    if (!lane.busy) drain(entry.lane, lane)
  }

  const drain = (name: string, lane: Lane): void => {
    lane.busy = true
    const work = (async () => {
      while (lane.entries.length > 0 && !stopping.signal.aborted) await (lane.entries[0]?.type === 'send' ? sendFrame(lane) : performOne(lane))
      lane.busy = false
      if (lane.entries.length === 0) lanes.delete(name)
    })()
    running.add(work)
    void work.finally(() => running.delete(work))
  }

  const performOne = async (lane: Lane): Promise<void> => {
    const entry = lane.entries[0]
    if (entry === undefined) return
    const controller = new AbortController()
    // An interrupting effect that waits behind this one has already been written: do not begin.
    if (!options.interrupting.has(entry.type) && lane.entries.some((later) => options.interrupting.has(later.type))) controller.abort()
    lane.controller = controller
    const signal = AbortSignal.any([controller.signal, stopping.signal])
    let event: ObjectEvent | undefined
    try {
      signal.throwIfAborted()
      event = await options.performers[entry.type]?.(entry, { signal, report: (events) => kernel.submit(events) })
    } catch (error) {
      if (stopping.signal.aborted) return
      event = controller.signal.aborted ? undefined : options.failed(entry, error)
    }
    if (stopping.signal.aborted) return
    lane.entries.shift()
    delete lane.controller
    await settle([entry], event === undefined ? [] : [{ kind: entry.kind, id: entry.id, event, actor: entry.type }])
  }

  /** All that waits for one peer leaves in one frame, in order; an unreachable peer holds up nobody else. */
  const sendFrame = async (lane: Lane): Promise<void> => {
    for (let attempt = 0; lane.entries.length > 0 && !stopping.signal.aborted; attempt++) {
      const now = clock.now()
      const expired = lane.entries.filter((entry) => send(entry).dropAt <= now)
      if (expired.length > 0) {
        lane.entries.splice(0, lane.entries.length, ...lane.entries.filter((entry) => !expired.includes(entry)))
        await settle(expired, [])
        continue
      }
      const frame = lane.entries.slice(0, framesOf)
      const to = frame[0] === undefined ? '' : send(frame[0]).to
      try {
        await transport.send(
          to,
          frame.map((entry) => entry.bytes ?? new Uint8Array()),
          { signal: stopping.signal },
        )
        lane.entries.splice(0, frame.length)
        await settle(frame, [])
        return
      } catch {
        if (stopping.signal.aborted) return
        await pause(Math.min(longestPause, firstPause * 2 ** attempt) * (0.5 + options.random()))
      }
    }
  }

  const settle = async (entries: readonly OutboxEntry[], events: readonly KernelEvent[]): Promise<void> => {
    const [first, ...rest] = events
    const done = entries.slice(first === undefined ? 0 : 1).map(({ outboxId }) => outboxId)
    if (first === undefined && done.length === 0) return
    await kernel.submit(first === undefined ? [] : [{ ...first, ...(entries[0] && { outboxId: entries[0].outboxId }) }, ...rest], done)
  }

  const pause = (milliseconds: number): Promise<void> =>
    new Promise((resolve) => {
      const end = (): void => {
        alarm[Symbol.dispose]()
        stopping.signal.removeEventListener('abort', end)
        resolve()
      }
      const alarm = clock.at(clock.now() + milliseconds, end)
      stopping.signal.addEventListener('abort', end, { once: true })
    })

  return {
    wake,
    stop: async () => {
      stopping.abort(new DOMException('the node is stopping', 'AbortError'))
      await Promise.allSettled(running)
    },
  }
}

const send = (entry: OutboxEntry): { readonly to: string; readonly dropAt: number } => entry.data as unknown as { readonly to: string; readonly dropAt: number }
