import { randomInt } from 'node:crypto'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { type PeerView, TransportError } from '@skrei/transport'
import type { Libp2p } from 'libp2p'
import { type Channel, loopback } from './channel.ts'
import { dial } from './dial.ts'
import { type Link, openLink } from './link.ts'
import { failure, type LinkHost } from './link-core.ts'
import type { Libp2pTransportOptions } from './options.ts'

interface Peer {
  readonly id: string
  readonly peerId: PeerId
  readonly addresses: Multiaddr[]
  /** Each end may open one; both work, and one is used. */
  outbound: Link | undefined
  inbound: Link | undefined
  roundTrip: number | undefined
  /** How many dials have failed one after the other. */
  failures: number
  /** How many dials were begun since it was reached last. */
  dials: number
  /** Of the clock's `elapsed`; undefined: not reached since the last failure. */
  openedAt: number | undefined
  retry: Disposable | undefined
}

/** The peers of one transport, and its links to them. */
export interface Peers {
  /** Dials those that are configured, and goes on doing so. */
  start(): void
  /** The link to use; opened where there is none. Throws a TransportError `unknown-peer`. */
  linkTo(id: string): Link
  /** One that a peer has opened. */
  accept(peerId: PeerId, channel: Channel): void
  /** The one to use of each peer that is connected. */
  open(): Iterable<Link>
  /** Every link that there is, its own to itself too. */
  all(): Iterable<Link>
  views(limit?: number): readonly PeerView[]
  view(id: string): PeerView | undefined
  count(): number
  stop(): void
}

/** A link that has lasted so long, in milliseconds, was no failure: the next dial waits as after the first. */
const steady = 1000

/** Configured addresses, by the peer that each of them ends in. */
const configured = (addresses: readonly string[], self: string): Map<string, Multiaddr[]> => {
  const byPeer = new Map<string, Multiaddr[]>()
  for (const text of addresses) {
    const address = multiaddr(text)
    const last = address.getComponents().at(-1)
    if (last?.name !== 'p2p' || last.value === undefined) throw new RangeError(`libp2pTransport: the peer ${text} must end in its id: /p2p/12D3KooW…`)
    const id = ed25519(last.value)?.toString()
    if (id === undefined) throw new RangeError(`libp2pTransport: the id of the peer ${text} is not that of an ed25519 key`)
    if (id === self) continue
    const known = byPeer.get(id)
    if (known) known.push(address)
    else byPeer.set(id, [address])
  }
  return byPeer
}

const ed25519 = (id: string): PeerId | undefined => {
  try {
    const peerId = peerIdFromString(id)
    return peerId.type === 'Ed25519' ? peerId : undefined
  } catch {
    return undefined
  }
}

export const libp2pPeers = (libp2p: Libp2p, host: LinkHost, options: Libp2pTransportOptions): Peers => {
  const { clock, limits, timeout } = host
  const { first = 250, longest = 30_000 } = options.backoff ?? {}
  const random = options.random ?? (() => randomInt(2 ** 32) / 2 ** 32)
  const self = libp2p.peerId.toString()
  const peers = new Map<string, Peer>()
  /** Their ids, so that some can be shown without a look at the rest. */
  const ids: string[] = []
  const dialling = new Set<AbortController>()
  let own: readonly Link[] = []
  let running = false
  let cursor: number | undefined

  const add = (peerId: PeerId, addresses: Multiaddr[]): Peer => {
    const id = peerId.toString()
    const peer: Peer = {
      id,
      peerId,
      addresses,
      outbound: undefined,
      inbound: undefined,
      roundTrip: undefined,
      failures: 0,
      dials: 0,
      openedAt: undefined,
      retry: undefined,
    }
    peers.set(id, peer)
    ids.push(id)
    return peer
  }

  for (const [id, addresses] of configured(options.peers ?? [], self)) add(peerIdFromString(id), addresses)
  const configuredCount = peers.size

  const forget = (peer: Peer): void => {
    peers.delete(peer.id)
    const place = ids.indexOf(peer.id)
    const last = ids.pop()
    if (last !== undefined && place < ids.length) ids[place] = last
  }

  /** Of two links that work, both ends take that of the smaller id; of one that is silent and another, the other. */
  const linkOf = ({ id, inbound, outbound }: Peer): Link | undefined => {
    if (outbound?.state !== 'open') return inbound ?? outbound
    if (!inbound) return outbound
    if (Math.abs(outbound.heard - inbound.heard) > 2 * host.pingInterval) return outbound.heard > inbound.heard ? outbound : inbound
    return self < id ? outbound : inbound
  }

  const closed = (peer: Peer, link: Link): void => {
    if (peer.inbound === link) peer.inbound = undefined
    if (peer.outbound === link) peer.outbound = undefined
    if (linkOf(peer) || !running) return
    if (peer.addresses.length > 0) redial(peer)
    else forget(peer)
  }

  const redial = (peer: Peer): void => {
    // A send that dialled in vain meanwhile puts nothing off.
    if (peer.retry) return
    if (peer.openedAt !== undefined && clock.elapsed() - peer.openedAt > steady) peer.failures = 0
    peer.openedAt = undefined
    const wait = Math.min(longest, first * 2 ** Math.min(peer.failures, 30)) * (1 - random() / 2)
    peer.failures += 1
    peer.retry = clock.at(clock.now() + wait, () => {
      peer.retry = undefined
      if (running && !linkOf(peer)) open(peer)
    })
  }

  const events = (peer: Peer) => ({
    closed: (link: Link) => closed(peer, link),
    roundTrip(milliseconds: number) {
      peer.roundTrip = milliseconds
    },
  })

  const opened = (peer: Peer): void => {
    peer.openedAt = clock.elapsed()
    peer.dials = 0
    peer.retry?.[Symbol.dispose]()
    peer.retry = undefined
  }

  /** All at first; then one at a time, in turn: libp2p tries them one after the other, and one that is silent can take all the time that there is. */
  const addressesOf = (peer: Peer): readonly Multiaddr[] => {
    const { addresses, dials } = peer
    peer.dials += 1
    return dials === 0 || addresses.length === 0 ? addresses : [addresses[dials % addresses.length] as Multiaddr]
  }

  const open = (peer: Peer): Link => {
    const link = openLink(peer.id, host, events(peer))
    peer.outbound = link
    const controller = new AbortController()
    dialling.add(controller)
    const deadline = clock.at(clock.now() + timeout, () => controller.abort(new Error(`it did not answer within ${timeout} ms`)))
    dial(libp2p, peer.peerId, addressesOf(peer), controller.signal)
      .finally(() => {
        deadline[Symbol.dispose]()
        dialling.delete(controller)
      })
      .then(
        (channel) => {
          opened(peer)
          link.attach(channel)
        },
        (error: TransportError) => {
          if (link.state === 'closed') return
          host.fault(error, peer.id, 'dial')
          link.close(error)
        },
      )
    return link
  }

  const ownLink = (): Link => {
    const [present] = own
    if (present?.state === 'open') return present
    const [mine, theirs] = loopback(clock)
    const quiet = { closed: () => {}, roundTrip: () => {} }
    const answering = openLink(self, host, quiet)
    answering.attach(theirs)
    const asking = openLink(self, host, quiet)
    asking.attach(mine)
    own = [asking, answering]
    return asking
  }

  const viewOf = (peer: Peer): PeerView => {
    const connected = linkOf(peer)?.state === 'open'
    return peer.roundTrip === undefined ? { id: peer.id, connected } : { id: peer.id, connected, roundTrip: peer.roundTrip }
  }

  return {
    start() {
      running = true
      for (const peer of peers.values()) if (!linkOf(peer)) open(peer)
    },
    linkTo(id) {
      if (id === self) return ownLink()
      const known = peers.get(id)
      if (known) return linkOf(known) ?? open(known)
      const peerId = ed25519(id)
      if (!peerId || peerId.toString() !== id) throw new TransportError('unknown-peer', `${JSON.stringify(id.slice(0, 80))} is not the id of a node`)
      return open(add(peerId, []))
    },
    accept(peerId, channel) {
      const id = peerId.toString()
      const known = peers.get(id)
      const refusal =
        peerId.type !== 'Ed25519' ? 'its key is not an ed25519 key' : !known && peers.size - configuredCount >= limits.peers ? 'too many peers' : undefined
      if (refusal !== undefined || !running) {
        const error = new Error(refusal ?? 'this transport is not running')
        if (refusal !== undefined) host.fault(error, id, 'stream')
        // On a node of its own the connection serves nothing else, and would take the place of another.
        return channel.abort(error, options.libp2p === undefined)
      }
      const peer = known ?? add(peerId, [])
      const before = peer.inbound
      const link = openLink(id, host, events(peer))
      peer.inbound = link
      opened(peer)
      // A peer opens a second one when it holds the first for lost.
      before?.close(failure('unreachable', `${id} has opened another stream`), true)
      link.attach(channel)
    },
    *open() {
      for (const peer of peers.values()) {
        const link = linkOf(peer)
        if (link?.state === 'open') yield link
      }
    },
    *all() {
      for (const { outbound, inbound } of [...peers.values()]) {
        if (outbound) yield outbound
        if (inbound) yield inbound
      }
      yield* own
    },
    views(limit = Number.POSITIVE_INFINITY) {
      if (limit >= ids.length) return [...peers.values()].map(viewOf)
      cursor ??= Math.floor(random() * ids.length)
      const start = cursor % ids.length
      cursor = start + limit
      return Array.from({ length: limit }, (_, index) => peers.get(ids[(start + index) % ids.length] as string)).flatMap((peer) => (peer ? [viewOf(peer)] : []))
    },
    view(id) {
      const peer = peers.get(id)
      return peer && viewOf(peer)
    },
    count: () => peers.size,
    stop() {
      running = false
      const error = failure('unreachable', 'this transport was disposed before the answer came')
      for (const controller of dialling) controller.abort(new Error('this transport was disposed'))
      for (const peer of [...peers.values()]) {
        peer.retry?.[Symbol.dispose]()
        peer.outbound?.close(error)
        peer.inbound?.close(error)
      }
      for (const link of own) link.close(error)
      own = []
    },
  }
}
