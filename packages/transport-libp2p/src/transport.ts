import type { Connection, Stream } from '@libp2p/interface'
import { type Transport, TransportError } from '@skrei/transport'
import { abortListeners, type Subscription, subscription } from '@skrei/transport/driver'
import type { Libp2p } from 'libp2p'
import { streamChannel } from './channel.ts'
import { protocolId } from './dial.ts'
import { libp2pNode } from './libp2p-node.ts'
import { resolveLimits } from './limits.ts'
import { failure, type LinkHost, longest } from './link-core.ts'
import type { Libp2pTransportOptions } from './options.ts'
import { libp2pPeers } from './peers.ts'

export interface Libp2pTransport extends Transport {
  /** The node below: the one that was given, or the transport's own. Others may use it too; who made it stops it. */
  readonly libp2p: Libp2p
  /** Where others reach this node, each with its id: what their `peers` takes. Empty before `start`, and where it does not listen. */
  addresses(): readonly string[]
}

/** For those that are turned away, and for two at once to one peer. */
const spareConnections = 64

const positive = (name: string, value: number): number => {
  if (!(value > 0)) throw new RangeError(`libp2pTransport: ${name} must be more than 0, not ${value}`)
  return value
}

/**
 * The transport contract over libp2p: one long-lived stream of frames for each peer that a node speaks to. Nothing listens or dials before `start`.
 *
 * @throws RangeError for an option that makes no sense, such as a peer's address without its id
 *
 * @example
 * const transport = await libp2pTransport({ privateKey, listen: ['/ip4/127.0.0.1/tcp/0'], clock: systemClock() })
 * await transport.start()
 */
export const libp2pTransport = async (options: Libp2pTransportOptions): Promise<Libp2pTransport> => {
  const { clock, onFault } = options
  const limits = resolveLimits(options.limits)
  const timeout = positive('timeout', options.timeout ?? 10_000)
  const pingInterval = positive('pingInterval', options.pingInterval ?? 10_000)
  positive('backoff.first', options.backoff?.first ?? 1)
  positive('backoff.longest', options.backoff?.longest ?? 1)
  const owned = options.libp2p === undefined
  const libp2p = options.libp2p ?? (await libp2pNode(options, limits.peers + (options.peers?.length ?? 0) + spareConnections))
  const self = libp2p.peerId.toString()
  if (libp2p.peerId.type !== 'Ed25519') throw new RangeError(`libp2pTransport: the libp2p node must have an ed25519 key, not ${libp2p.peerId.type}`)

  const host: LinkHost = {
    clock,
    limits,
    timeout,
    pingInterval,
    receiver: undefined,
    hearer: undefined,
    served: new Map(),
    subscriptions: new Map(),
    onceAborted: abortListeners(),
    partialBytes: 0,
    workingBytes: 0,
    fault: (error, peer, place) => onFault?.(error, peer, place),
  }
  const peers = libp2pPeers(libp2p, host, options)
  let state: 'new' | 'started' | 'closed' = 'new'
  let starting: Promise<void> | undefined
  let ending: Promise<void> | undefined
  let sweeping: Disposable | undefined

  const sweep = (): void => {
    const elapsed = clock.elapsed()
    for (const link of peers.all()) link.sweep(elapsed)
    sweeping = clock.at(clock.now() + Math.min(timeout, pingInterval) / 4, sweep)
  }

  const begin = async (signal: AbortSignal | undefined): Promise<void> => {
    if (owned) await libp2p.start()
    await libp2p.handle(protocolId, (stream: Stream, connection: Connection) => peers.accept(connection.remotePeer, streamChannel(stream, connection)), {
      maxInboundStreams: 4,
    })
    if (signal?.aborted || state === 'closed') {
      await stop()
      signal?.throwIfAborted()
      throw failure('not-started', 'this transport was disposed')
    }
    state = 'started'
    peers.start()
    sweep()
  }

  const stop = async (): Promise<void> => {
    await libp2p.unhandle(protocolId)
    if (owned) await libp2p.stop()
  }

  const finish = async (): Promise<void> => {
    const before = state
    state = 'closed'
    sweeping?.[Symbol.dispose]()
    host.receiver = undefined
    host.hearer = undefined
    host.served.clear()
    for (const set of host.subscriptions.values()) for (const each of [...set]) each.close()
    peers.stop()
    // One that is starting stops by itself.
    if (before === 'started') await stop()
    else await starting?.catch(() => {})
  }

  const requireStarted = (): void => {
    if (state !== 'started') throw failure('not-started', 'this transport is not started, or was disposed')
  }

  const requireSize = (bytes: number, what: string): void => {
    if (bytes > limits.maxBytes) throw failure('too-large', `${what} of ${bytes} bytes is more than the ${limits.maxBytes} that this transport takes`)
  }

  const requireName = (name: string): void => {
    if (Buffer.byteLength(name) > longest.name) throw failure('too-large', `a name of more than ${longest.name} bytes: ${name.slice(0, 40)}…`)
  }

  return {
    self,
    libp2p,
    addresses: () => libp2p.getMultiaddrs().map((address) => address.toString()),
    async start({ signal } = {}) {
      signal?.throwIfAborted()
      if (state === 'closed') throw failure('not-started', 'this transport was disposed: make another')
      starting ??= begin(signal)
      try {
        await starting
      } catch (error) {
        if (state === 'new') starting = undefined
        throw error
      }
    },
    async send(to, messages, { signal }) {
      signal?.throwIfAborted()
      requireStarted()
      let bytes = 0
      for (const message of messages) bytes += message.length
      requireSize(bytes, 'a send')
      if (messages.length > limits.messages) throw failure('too-large', `${messages.length} messages are more than the ${limits.messages} that one send takes`)
      return peers.linkTo(to).send(messages, bytes, signal)
    },
    receive(handler) {
      if (host.receiver) throw new Error(`${self} has a receive handler already: dispose it first`)
      host.receiver = handler
      return {
        [Symbol.dispose]: () => {
          if (host.receiver === handler) host.receiver = undefined
        },
      }
    },
    hint(to, bytes) {
      if (state !== 'started' || bytes.length > limits.maxBytes) return
      try {
        peers.linkTo(to).hint(bytes)
      } catch (error) {
        if (!(error instanceof TransportError)) throw error
      }
    },
    onHint(handler) {
      if (host.hearer) throw new Error(`${self} has a hint handler already: dispose it first`)
      host.hearer = handler
      return {
        [Symbol.dispose]: () => {
          if (host.hearer === handler) host.hearer = undefined
        },
      }
    },
    async *query(to, protocol, body, { signal }) {
      signal?.throwIfAborted()
      requireStarted()
      requireSize(body.length, 'a query')
      requireName(protocol)
      yield* peers.linkTo(to).query(protocol, body, signal)
    },
    serve(protocol, handler) {
      requireName(protocol)
      if (host.served.has(protocol)) throw new Error(`${self} serves ${protocol} already: dispose that first`)
      host.served.set(protocol, handler)
      return {
        [Symbol.dispose]: () => {
          if (host.served.get(protocol) === handler) host.served.delete(protocol)
        },
      }
    },
    async publish(topic, bytes) {
      requireStarted()
      requireSize(bytes.length, 'a publication')
      requireName(topic)
      for (const link of peers.open()) link.publish(topic, bytes)
    },
    subscribe(topic, { signal }) {
      const set = host.subscriptions.get(topic) ?? new Set<Subscription>()
      let listening: Disposable | undefined
      const subscribed = subscription(() => {
        listening?.[Symbol.dispose]()
        set.delete(subscribed)
        if (set.size === 0 && host.subscriptions.get(topic) === set) host.subscriptions.delete(topic)
      })
      if (state === 'closed' || signal?.aborted) {
        subscribed.close()
        return subscribed
      }
      set.add(subscribed)
      host.subscriptions.set(topic, set)
      listening = signal && host.onceAborted(signal, () => subscribed.close())
      return subscribed
    },
    peers: ({ limit } = {}) => peers.views(limit),
    peer: (id) => peers.view(id),
    peerCount: () => peers.count(),
    async [Symbol.asyncDispose]() {
      ending ??= finish()
      await ending
    },
  }
}
