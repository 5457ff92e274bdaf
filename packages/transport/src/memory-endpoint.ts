import { abortListeners } from './abort-listeners.ts'
import { boundedRejections, type Clock, type PeerView, type Rejection, type Transport, TransportError, type TransportErrorCode } from './index.ts'
import type { Faults } from './memory-link.ts'
import type { NetworkCounters, PacketType } from './memory-packet.ts'
import { type ChunkStream, chunkStream } from './memory-stream.ts'
import { type Subscription, subscription } from './subscription.ts'

/** What an endpoint needs from the network that it is on. */
export interface Wire {
  readonly clock: Clock
  readonly maxBytes: number
  fault(error: unknown, node: string, handler: 'receive' | 'hint' | 'serve'): void
  countersOf(id: string): NetworkCounters
  /** The latest endpoint of this id, whatever its state. */
  find(id: string): Endpoint | undefined
  all(): Iterable<Endpoint>
  /** `count` others than this one at random; all, this one too, where there are no more. */
  some(self: string, count: number, random: () => number): Iterable<Endpoint>
  count(): number
  randomFor(id: string): () => number
  isCut(from: string, to: string): boolean
  faultsOf(from: string, to: string): Faults
  /** Runs `run` after the network's timeout, unless the function it returns is called before. */
  expire(run: () => void): () => void
  carry(from: Endpoint, to: Endpoint, type: PacketType, bytes: number, arrive: (again: boolean) => void, lost?: () => void): void
}

type Receive = Parameters<Transport['receive']>[0]
type Hint = Parameters<Transport['onHint']>[0]
type Serve = Parameters<Transport['serve']>[1]

/** One life of a node on the network. Other endpoints call what stands here when a packet arrives. */
export interface Endpoint {
  readonly self: string
  readonly transport: Transport
  readonly state: 'new' | 'started' | 'closed' | 'crashed'
  crash(): void
  arriveSend(from: Endpoint, messages: readonly Uint8Array[], answer: (answer: Answer) => void): void
  arriveHint(from: Endpoint, bytes: Uint8Array): void
  arriveQuery(from: Endpoint, protocol: string, body: Uint8Array, query: Query): void
  arriveTopic(topic: string, bytes: Uint8Array): void
  hears(topic: string): boolean
}

/** What becomes of a send: applied but for what was rejected, or failed. */
type Answer = { readonly rejections: readonly Rejection[] } | { readonly code: TransportErrorCode; readonly cause?: unknown }

/** A query under way, seen from both ends. */
interface Query {
  readonly stream: ChunkStream
  /** Ends the serving side; set once the query has arrived. */
  stop?: () => void
}

const copyOf = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes)

const messageOf: Record<TransportErrorCode, (to: string) => string> = {
  'unknown-peer': (to) => `no node ${to} has ever joined this network`,
  unreachable: (to) => `${to} did not answer`,
  'not-started': () => 'this transport is not started, or was disposed',
  'no-handler': (to) => `${to} has no handler for this`,
  refused: (to) => `the handler of ${to} failed`,
  'too-large': (to) => `too large to send to ${to}`,
  'unsupported-version': (to) => `${to} speaks another version`,
}

const failure = (code: TransportErrorCode, to: string, detail?: string, cause?: unknown): TransportError =>
  new TransportError(code, detail ?? messageOf[code](to), cause === undefined ? undefined : { cause })

export const memoryEndpoint = (self: string, wire: Wire): Endpoint => {
  let state: Endpoint['state'] = 'new'
  let receiver: Receive | undefined
  let hearer: Hint | undefined
  const served = new Map<string, Serve>()
  const subscriptions = new Map<string, Set<Subscription>>()
  /** Sends and queries that wait for a peer: how to fail them, and how to forget them. */
  const outstanding = new Set<{ fail(): void; forget(): void }>()
  const onceAborted = abortListeners()
  const serving = new Set<{ readonly controller: AbortController; lose(): void; end(error?: Error): void }>()
  const roundTrips = new Map<string, number>()
  /** For which peers are named, where not all are: what happens elsewhere changes nothing here. */
  let random: (() => number) | undefined

  const checkSize = (bytes: number, to: string): void => {
    if (bytes > wire.maxBytes) throw failure('too-large', to, `${bytes} bytes are more than the ${wire.maxBytes} that this network takes`)
  }

  /** Who to send to; throws what is known without asking. */
  const peer = (to: string): Endpoint => {
    if (state !== 'started') throw failure('not-started', to)
    const found = wire.find(to)
    if (!found) throw failure('unknown-peer', to)
    return found
  }

  const send = (to: string, messages: readonly Uint8Array[], signal: AbortSignal | undefined): Promise<readonly Rejection[]> =>
    new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const target = peer(to)
      let bytes = 0
      for (const message of messages) bytes += message.length
      checkSize(bytes, to)
      const copies = messages.map(copyOf)
      const counters = wire.countersOf(self)
      counters.sends += 1
      counters.messages += copies.length
      const sentAt = wire.clock.now()

      const settle = (end: () => void): void => {
        if (!outstanding.delete(entry)) return
        entry.forget()
        end()
      }
      const fail = (error: unknown): void => settle(() => reject(error))
      const cancel = wire.expire(() => fail(failure('unreachable', to)))
      const onAbort = (): void => fail(signal?.reason)
      const entry = {
        fail: () => fail(failure('unreachable', to, 'this transport was disposed before the answer came')),
        forget: () => {
          cancel()
          listening?.[Symbol.dispose]()
        },
      }
      outstanding.add(entry)
      const listening = signal && onceAborted(signal, onAbort)
      // Each of two arrivals has its own: the handler may do with it what it likes.
      const repeats = wire.faultsOf(self, to).duplication > 0
      wire.carry(endpoint, target, 'send', bytes, () => {
        target.arriveSend(endpoint, repeats ? copies.map(copyOf) : copies, (answer) => {
          wire.carry(target, endpoint, 'answer', 0, () => {
            roundTrips.set(to, wire.clock.now() - sentAt)
            if ('code' in answer) fail(failure(answer.code, to, undefined, answer.cause))
            else settle(() => resolve(boundedRejections(answer.rejections, copies.length)))
          })
        })
      })
    })

  async function* query(to: string, protocol: string, body: Uint8Array, signal: AbortSignal | undefined): AsyncIterable<Uint8Array> {
    signal?.throwIfAborted()
    const target = peer(to)
    checkSize(body.length, to)
    const copy = copyOf(body)
    const running: Query = { stream: chunkStream() }
    wire.countersOf(self).queries += 1

    const onAbort = (): void => running.stream.fail(signal?.reason)
    const entry = {
      fail: () => running.stream.fail(failure('unreachable', to, 'this transport was disposed before the answer was complete')),
      // Only a crash forgets a query: the node that serves it finds out when it times out.
      forget: () => {
        signal?.removeEventListener('abort', onAbort)
        wire.expire(() => running.stop?.())
      },
    }
    outstanding.add(entry)
    signal?.addEventListener('abort', onAbort)
    wire.carry(
      endpoint,
      target,
      'query',
      copy.length,
      (again) => {
        if (!again) target.arriveQuery(endpoint, protocol, copy, running)
      },
      () => wire.expire(() => running.stream.fail(failure('unreachable', to))),
    )
    let complete = false
    try {
      for (;;) {
        const chunk = await running.stream.take()
        if (!chunk) {
          complete = true
          return
        }
        yield chunk
      }
    } finally {
      signal?.removeEventListener('abort', onAbort)
      outstanding.delete(entry)
      running.stream.fail(failure('unreachable', to, 'the query was given up'))
      const { stop } = running
      if (!complete && stop) wire.carry(endpoint, target, 'cancel', 0, stop, () => wire.expire(stop))
    }
  }

  const serve = async (from: Endpoint, protocol: string, body: Uint8Array, { stream }: Query, controller: AbortController): Promise<void> => {
    let sent = 0
    const lose = (): void => {
      wire.expire(() => {
        stream.fail(failure('unreachable', self))
        controller.abort()
      })
    }
    const end = (error?: Error): void => {
      const sequence = sent
      wire.carry(endpoint, from, 'chunk', 0, () => stream.end(sequence, error), lose)
    }
    const handler = served.get(protocol)
    if (!handler) return end(failure('no-handler', self, `${self} serves no ${protocol}`))
    const entry = { controller, lose, end }
    serving.add(entry)
    try {
      for await (const chunk of handler(from.self, body, { signal: controller.signal })) {
        if (controller.signal.aborted) return
        checkSize(chunk.length, from.self)
        const copy = copyOf(chunk)
        const sequence = sent
        sent += 1
        wire.carry(endpoint, from, 'chunk', copy.length, () => stream.arrive(sequence, copy), lose)
        await stream.room(sent)
        if (controller.signal.aborted) return
      }
      if (!controller.signal.aborted) end()
    } catch (error) {
      if (controller.signal.aborted) return
      wire.fault(error, self, 'serve')
      end(failure('refused', self, undefined, error))
    } finally {
      serving.delete(entry)
    }
  }

  /** What a node that is gone no longer does, however it went. */
  const stop = (next: 'closed' | 'crashed'): void => {
    state = next
    receiver = undefined
    hearer = undefined
    served.clear()
    for (const set of subscriptions.values()) for (const each of [...set]) each.close()
    for (const { controller, lose, end } of [...serving]) {
      // A node that leaves says so; one that crashed is found out.
      if (next === 'closed') end(failure('unreachable', self, `${self} was disposed`))
      else lose()
      controller.abort()
    }
  }

  const viewOf = (other: Endpoint): PeerView => {
    const roundTrip = roundTrips.get(other.self)
    const connected = state === 'started' && other.state === 'started' && !wire.isCut(self, other.self) && !wire.isCut(other.self, self)
    return roundTrip === undefined ? { id: other.self, connected } : { id: other.self, connected, roundTrip }
  }

  const endpoint: Endpoint = {
    self,
    get state() {
      return state
    },
    crash() {
      if (state === 'crashed' || state === 'closed') return
      for (const entry of outstanding) entry.forget()
      outstanding.clear()
      stop('crashed')
    },
    arriveSend(from, messages, answer) {
      if (state !== 'started') return answer({ code: 'unreachable' })
      if (!receiver) return answer({ code: 'no-handler' })
      const failed = (error: unknown): void => {
        if (state === 'crashed') return
        wire.fault(error, self, 'receive')
        answer({ code: 'refused', cause: error })
      }
      try {
        const handled = receiver(from.self, messages) as Promise<readonly Rejection[] | undefined>
        handled.then((rejections = []) => {
          if (state !== 'crashed') answer({ rejections })
        }, failed)
      } catch (error) {
        failed(error)
      }
    },
    arriveHint(from, bytes) {
      if (state !== 'started') return
      try {
        hearer?.(from.self, bytes)
      } catch (error) {
        wire.fault(error, self, 'hint')
      }
    },
    arriveQuery(from, protocol, body, query) {
      if (state !== 'started') {
        wire.carry(endpoint, from, 'chunk', 0, () => query.stream.fail(failure('unreachable', self)))
        return
      }
      const controller = new AbortController()
      query.stop = () => {
        query.stream.abandon()
        controller.abort()
      }
      void serve(from, protocol, body, query, controller)
    },
    arriveTopic(topic, bytes) {
      for (const each of subscriptions.get(topic) ?? []) each.push(copyOf(bytes))
    },
    hears: (topic) => state === 'started' && subscriptions.has(topic),
    transport: {
      self,
      async start(options = {}) {
        options.signal?.throwIfAborted()
        if (state !== 'new' && state !== 'started') throw failure('not-started', self, `this transport of ${self} is over: join again`)
        state = 'started'
      },
      send: (to, messages, options) => send(to, messages, options.signal),
      receive(handler) {
        if (receiver) throw new Error(`${self} has a receive handler already: dispose it first`)
        receiver = handler
        return {
          [Symbol.dispose]: () => {
            if (receiver === handler) receiver = undefined
          },
        }
      },
      hint(to, bytes) {
        const target = wire.find(to)
        if (state !== 'started' || !target || bytes.length > wire.maxBytes) return
        const copy = copyOf(bytes)
        wire.countersOf(self).hints += 1
        const repeats = wire.faultsOf(self, to).duplication > 0
        wire.carry(endpoint, target, 'hint', copy.length, () => target.arriveHint(endpoint, repeats ? copyOf(copy) : copy))
      },
      onHint(handler) {
        if (hearer) throw new Error(`${self} has a hint handler already: dispose it first`)
        hearer = handler
        return {
          [Symbol.dispose]: () => {
            if (hearer === handler) hearer = undefined
          },
        }
      },
      query: (to, protocol, body, options) => query(to, protocol, body, options.signal),
      serve(protocol, handler) {
        if (served.has(protocol)) throw new Error(`${self} serves ${protocol} already: dispose that first`)
        served.set(protocol, handler)
        return {
          [Symbol.dispose]: () => {
            if (served.get(protocol) === handler) served.delete(protocol)
          },
        }
      },
      async publish(topic, bytes) {
        if (state !== 'started') throw failure('not-started', self)
        checkSize(bytes.length, topic)
        const copy = copyOf(bytes)
        wire.countersOf(self).publications += 1
        for (const other of wire.all()) {
          if (other !== endpoint && other.hears(topic)) wire.carry(endpoint, other, 'topic', copy.length, () => other.arriveTopic(topic, copy))
        }
      },
      subscribe(topic, { signal }) {
        const end = (): void => each.close()
        const each = subscription(() => {
          signal?.removeEventListener('abort', end)
          const set = subscriptions.get(topic)
          set?.delete(each)
          if (set?.size === 0) subscriptions.delete(topic)
        })
        if (signal?.aborted || state === 'closed' || state === 'crashed') {
          each.close()
          return each
        }
        signal?.addEventListener('abort', end)
        const set = subscriptions.get(topic)
        if (set) set.add(each)
        else subscriptions.set(topic, new Set([each]))
        return each
      },
      peers({ limit = Number.POSITIVE_INFINITY } = {}) {
        random ??= wire.randomFor(self)
        const views: PeerView[] = []
        for (const other of wire.some(self, limit, random)) if (other !== endpoint) views.push(viewOf(other))
        return views
      },
      peerCount: () => wire.count() - 1,
      peer(id) {
        const other = id === self ? undefined : wire.find(id)
        return other && viewOf(other)
      },
      async [Symbol.asyncDispose]() {
        if (state === 'closed' || state === 'crashed') return
        stop('closed')
        for (const entry of [...outstanding]) entry.fail()
      },
    },
  }
  return endpoint
}
