import { generateKeyPair } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p, type Libp2p } from 'libp2p'
import { expect, vi } from 'vitest'

/** A libp2p node as the node of this project makes it: TCP on loopback, noise, yamux, identify. */
const libp2pNode = async (): Promise<Libp2p> =>
  createLibp2p({
    privateKey: await generateKeyPair('Ed25519'),
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify() },
    connectionManager: { inboundConnectionThreshold: 1000, maxIncomingPendingConnections: 1000 },
    connectionGater: { denyDialMultiaddr: () => false },
  })

/** libp2p nodes that are stopped at the end of a test. */
export const libp2pNetwork = () => {
  const nodes: Libp2p[] = []
  return {
    node: async () => {
      const made = await libp2pNode()
      nodes.push(made)
      return made
    },
    /** Connects two nodes; both know of it then. */
    connect: async (one: Libp2p, other: Libp2p) => {
      await one.dial(other.getMultiaddrs())
      await vi.waitFor(() => expect(other.getConnections(one.peerId).length).toBeGreaterThan(0), { timeout: 20_000, interval: 5 })
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(nodes.map((node) => node.stop()))
    },
  }
}
