import { type AbortOptions, type Clock, type PeerView, type Transport, TransportError } from './index.ts'
import { seededRandom } from './random.ts'

export { seededRandom } from './random.ts'
export { type VirtualClock, virtualClock } from './virtual-clock.ts'

/** How one direction of a link behaves. Milliseconds; shares between 0 and 1. */
export interface LinkOptions {
  readonly latency?: number
  /** Up to this much is added, uniformly: messages overtake each other. */
  readonly jitter?: number
  readonly loss?: number
  readonly duplication?: number
}

export interface MemoryNetworkOptions extends LinkOptions {
  readonly clock: Clock
  readonly seed?: number
  /** After how long an unacknowledged `send` fails; milliseconds. Default 10,000. */
  readonly timeout?: number
}

/** A simulated network in one process. The same seed and the same calls give the same deliveries. */
export interface MemoryNetwork {
  /** A node of this name; one that crashed or was disposed may join again. */
  join(id: string): Transport
  /** Overrides the network's behaviour from one node to another. */
  link(from: string, to: string, options: LinkOptions): void
  /** Nodes of different groups no longer hear each other; a node in no group hears nobody. */
  partition(groups: readonly (readonly string[])[]): void
  /** Nothing gets from one node to the other any more; the way back stays open. */
  block(from: string, to: string): void
  /** Ends partitions and blocks. */
  heal(): void
  /** The node is gone at once, with everything on its way to or from it. */
  crash(id: string): void
  readonly counters: { readonly messages: number; readonly hints: number; readonly delivered: number; readonly lost: number; readonly bytes: number }
}

type Receive = Parameters<Transport['receive']>[0]
type OnHint = Parameters<Transport['onHint']>[0]
type Serve = Parameters<Transport['serve']>[1]

interface Member {
  readonly id: string
  started: boolean
  alive: boolean
  receive?: Receive
  onHint?: OnHint
  /** Handlers run one after the other. */
  busy: Promise<void>
  readonly serving: Map<string, Serve>
  readonly topics: Map<string, Set<(bytes: Uint8Array) => void>>
  /** Rejects what this node still waits for, when it is gone. */
  readonly waiting: Set<(error: TransportError) => void>
}

export const memoryNetwork = (options: MemoryNetworkOptions): MemoryNetwork => {
  const { clock, timeout = 10_000 } = options
  const random = seededRandom(options.seed ?? 0)
  const members = new Map<string, Member>()
  const links = new Map<string, LinkOptions>()
  const blocked = new Set<string>()
  const counters = { messages: 0, hints: 0, delivered: 0, lost: 0, bytes: 0 }
  let groups: readonly (readonly string[])[] | undefined

  const pair = (from: string, to: string): string => `${from}\0${to}`
  const isOpen = (from: string, to: string): boolean =>
    from === to || (!blocked.has(pair(from, to)) && (groups === undefined || groups.some((group) => group.includes(from) && group.includes(to))))

  /** Carries something from one node to another: later, never, or twice. Nothing arrives at, or from, a node that is gone meanwhile. */
  const carry = (from: Member, to: Member, deliver: () => void): void => {
    const { latency = 0, jitter = 0, loss = 0, duplication = 0 } = from === to ? {} : { ...options, ...links.get(pair(from.id, to.id)) }
    const copies = duplication > 0 && random() < duplication ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      if (!isOpen(from.id, to.id) || (loss > 0 && random() < loss)) {
        counters.lost++
        continue
      }
      const arrive = (): void => {
        if (!from.alive || !to.alive) return void counters.lost++
        counters.delivered++
        deliver()
      }
      const delay = latency + (jitter > 0 ? random() * jitter : 0)
      if (delay > 0) clock.at(clock.now() + delay, arrive)
      else queueMicrotask(arrive)
    }
  }

  const failed = (to: string, why: string): TransportError => new TransportError('unreachable', `${to} ${why}`)

  /** Waits for an answer that may never come: until the timeout, the signal, or the end of the node that waits. */
  const answer = <T>(
    member: Member,
    to: string,
    signal: AbortSignal | undefined,
    ask: (resolve: (value: T) => void, reject: (error: unknown) => void) => void,
  ): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      const end = (act: () => void): void => {
        alarm[Symbol.dispose]()
        signal?.removeEventListener('abort', abort)
        member.waiting.delete(reject)
        act()
      }
      const abort = (): void => end(() => reject(signal?.reason))
      const alarm = clock.at(clock.now() + timeout, () => end(() => reject(failed(to, `did not answer within ${timeout} ms`))))
      signal?.addEventListener('abort', abort, { once: true })
      member.waiting.add(reject)
      ask(
        (value) => end(() => resolve(value)),
        (error) => end(() => reject(error)),
      )
    })

  const join = (id: string): Transport => {
    if (members.get(id)?.alive) throw new TransportError('refused', `${id} is in the network already`)
    const member: Member = { id, started: false, alive: true, busy: Promise.resolve(), serving: new Map(), topics: new Map(), waiting: new Set() }
    members.set(id, member)

    const peer = (to: string): Member => {
      if (!member.started || !member.alive) throw new TransportError('not-started', `${id} has not started`)
      const found = members.get(to)
      if (found === undefined) throw new TransportError('unknown-peer', `no node ${to} is in the network`)
      return found
    }

    const receiveFrame = async (to: Member, messages: readonly Uint8Array[]): Promise<void> => {
      const handler = to.receive
      if (handler === undefined) throw new TransportError('no-handler', `${to.id} takes no messages`)
      const turn = to.busy.then(() => handler(id, messages))
      to.busy = turn.catch(() => {})
      await turn
    }

    return {
      self: id,
      start: ({ signal } = {}) => {
        signal?.throwIfAborted()
        member.started = true
        return Promise.resolve()
      },
      send: async (to, messages, { signal }) => {
        signal?.throwIfAborted()
        const target = peer(to)
        const frame = messages.map((bytes) => bytes.slice())
        counters.messages += frame.length
        counters.bytes += frame.reduce((sum, { length }) => sum + length, 0)
        await answer<void>(member, to, signal, (resolve, reject) =>
          carry(member, target, () => {
            receiveFrame(target, frame).then(
              () => carry(target, member, resolve),
              (error: unknown) =>
                carry(target, member, () =>
                  reject(error instanceof TransportError ? error : new TransportError('refused', `${to} did not take the messages`, { cause: error })),
                ),
            )
          }),
        )
      },
      receive: (handler) => {
        member.receive = handler
        return { [Symbol.dispose]: () => void (member.receive === handler && delete member.receive) }
      },
      hint: (to, bytes) => {
        const target = members.get(to)
        if (!member.started || target === undefined) return
        counters.hints++
        counters.bytes += bytes.length
        const sent = bytes.slice()
        carry(member, target, () => target.onHint?.(id, sent))
      },
      onHint: (handler) => {
        member.onHint = handler
        return { [Symbol.dispose]: () => void (member.onHint === handler && delete member.onHint) }
      },
      query: async function* (to, protocol, body, { signal }) {
        signal?.throwIfAborted()
        const target = peer(to)
        const sent = body.slice()
        const stop = new AbortController()
        try {
          const chunks = await answer<AsyncIterator<Uint8Array>>(member, to, signal, (resolve, reject) =>
            carry(member, target, () => {
              const handler = target.serving.get(protocol)
              if (handler === undefined) return carry(target, member, () => reject(new TransportError('no-handler', `${to} does not serve ${protocol}`)))
              const opened = handler(id, sent, { signal: stop.signal })[Symbol.asyncIterator]()
              carry(target, member, () => resolve(opened))
            }),
          )
          for (;;) {
            const chunk = await answer<IteratorResult<Uint8Array>>(member, to, signal, (resolve, reject) => {
              chunks.next().then(
                (result) => carry(target, member, () => resolve(result)),
                (error: unknown) => carry(target, member, () => reject(new TransportError('refused', `${to} broke off its answer`, { cause: error }))),
              )
            })
            if (chunk.done === true) return
            yield chunk.value.slice()
          }
        } finally {
          stop.abort(new DOMException('the query ended', 'AbortError'))
        }
      },
      serve: (protocol, handler) => {
        if (member.serving.has(protocol)) throw new TransportError('refused', `${id} serves ${protocol} already`)
        member.serving.set(protocol, handler)
        return { [Symbol.dispose]: () => void member.serving.delete(protocol) }
      },
      publish: (topic, bytes) => {
        if (!member.started) return Promise.reject(new TransportError('not-started', `${id} has not started`))
        const sent = bytes.slice()
        for (const other of members.values()) {
          if (!other.topics.has(topic)) continue
          carry(member, other, () => {
            for (const deliver of other.topics.get(topic) ?? []) deliver(sent)
          })
        }
        return Promise.resolve()
      },
      subscribe: (topic, { signal }) => subscription(member, topic, signal),
      peers: (): readonly PeerView[] =>
        [...members.values()]
          .filter((other) => other !== member)
          .map((other) => ({ id: other.id, connected: other.alive && other.started && isOpen(id, other.id) && isOpen(other.id, id) })),
      [Symbol.asyncDispose]: () => {
        leave(member)
        return Promise.resolve()
      },
    }
  }

  const leave = (member: Member): void => {
    member.alive = false
    delete member.receive
    delete member.onHint
    member.serving.clear()
    member.topics.clear()
    for (const reject of [...member.waiting]) reject(failed(member.id, 'is gone'))
    if (members.get(member.id) === member) members.delete(member.id)
  }

  return {
    join,
    link: (from, to, link) => void links.set(pair(from, to), link),
    partition: (next) => {
      groups = next
    },
    block: (from, to) => void blocked.add(pair(from, to)),
    heal: () => {
      groups = undefined
      blocked.clear()
    },
    crash: (id) => {
      const member = members.get(id)
      if (member) leave(member)
    },
    counters,
  }
}

/** What a topic brings while nobody reads waits here; beyond this the oldest are dropped. */
const longestQueue = 1024

async function* subscription(member: Member, topic: string, signal: AbortOptions['signal']): AsyncGenerator<Uint8Array> {
  signal?.throwIfAborted()
  const queue: Uint8Array[] = []
  let wake = (): void => {}
  const deliver = (bytes: Uint8Array): void => {
    queue.push(bytes)
    if (queue.length > longestQueue) queue.shift()
    wake()
  }
  const subscribers = member.topics.get(topic) ?? new Set()
  member.topics.set(topic, subscribers)
  subscribers.add(deliver)
  const abort = (): void => wake()
  signal?.addEventListener('abort', abort)
  try {
    while (!signal?.aborted) {
      const next = queue.shift()
      if (next !== undefined) yield next
      else
        await new Promise<void>((resolve) => {
          wake = resolve
        })
    }
  } finally {
    signal?.removeEventListener('abort', abort)
    subscribers.delete(deliver)
    if (subscribers.size === 0) member.topics.delete(topic)
  }
}
