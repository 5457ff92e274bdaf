import type { PeerSummary } from '@skrei/api'
import type { Libp2pTransport } from '@skrei/transport-libp2p'

/** How other nodes are reached, and reach this one. */
export interface NodeLinks {
  addresses(): readonly string[]
  peers(): readonly PeerSummary[]
  connected(): number
}

const mostPeers = 1024

/** `configured`: the multiaddrs of peers that the node keeps up connections to. */
export const nodeLinks = (transport: Libp2pTransport, configured: readonly string[]): NodeLinks => {
  const known = Map.groupBy(configured, (address) => address.slice(address.lastIndexOf('/') + 1))
  return {
    addresses: () => transport.addresses(),
    connected: () => transport.peerCount(),
    peers: () => {
      const connections = Map.groupBy(transport.libp2p.getConnections(), ({ remotePeer }) => remotePeer.toString())
      const linked = new Map(transport.peers({ limit: mostPeers }).map((peer) => [peer.id, peer]))
      return [...new Set([...known.keys(), ...linked.keys()])].map((node) => {
        const peer = linked.get(node)
        const [connection] = connections.get(node) ?? []
        return {
          node,
          connected: peer?.connected ?? false,
          addresses: connection === undefined ? (known.get(node) ?? []) : [connection.remoteAddr.toString()],
          ...(connection && { direction: connection.direction, connectedAt: connection.timeline.open }),
          ...(peer?.roundTrip !== undefined && { roundTripMs: peer.roundTrip }),
        }
      })
    },
  }
}
