import type { Clock } from '@skrei/transport'
import type { Libp2p } from 'libp2p'
import type { Libp2pTransportLimits } from './limits.ts'
import type { FaultPlace } from './link-core.ts'

interface CommonOptions {
  /** The one clock of the process: `systemClock()`. */
  readonly clock: Clock
  /**
   * Multiaddrs of peers, each with the id at its end: `/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW…`. Several of one peer are tried together. The transport keeps a stream to each, for ever;
   * to other nodes it speaks when they have dialled it, or when libp2p knows how to reach them.
   */
  readonly peers?: readonly string[]
  readonly limits?: Libp2pTransportLimits
  /** How long every wait may be, in milliseconds: for a stream, an acknowledgement, a ping's answer, the rest of a frame. Found out at most a quarter of it late. Default 10,000. */
  readonly timeout?: number
  /** How often a peer is pinged, in milliseconds: for the round trip, and to find out that it is gone. Default 10,000. */
  readonly pingInterval?: number
  /** Waits before a configured peer is dialled again, in milliseconds: `first` doubles up to `longest`, each shortened by up to a half at random. Default 250 and 30,000. */
  readonly backoff?: { readonly first?: number; readonly longest?: number }
  /** Numbers in [0, 1), for the waits and for which peers are shown first. Default from the system's randomness. */
  readonly random?: () => number
  /** Sees what a handler threw, why a peer's stream was closed, and why a dial failed. */
  readonly onFault?: (error: unknown, peer: string, place: FaultPlace) => void
}

/** The transport makes a libp2p node, starts it and stops it. */
interface OwnNodeOptions extends CommonOptions {
  /** The 32 bytes (seed) of the node's ed25519 key. The node's id is the peer id of that key. */
  readonly privateKey: Uint8Array
  /** Multiaddrs to listen on: `/ip4/127.0.0.1/tcp/0`, `/ip4/0.0.0.0/tcp/4002/ws`. Default none. */
  readonly listen?: readonly string[]
  /** Multiaddrs to tell others in place of those listened on. */
  readonly announce?: readonly string[]
  readonly libp2p?: undefined
}

/** The transport uses a libp2p node that is there, and leaves it as it was. */
interface GivenNodeOptions extends CommonOptions {
  /** With an ed25519 key. Whoever made it starts it, before the transport, and stops it. */
  readonly libp2p: Libp2p
  readonly privateKey?: undefined
  readonly listen?: undefined
  readonly announce?: undefined
}

export type Libp2pTransportOptions = OwnNodeOptions | GivenNodeOptions
