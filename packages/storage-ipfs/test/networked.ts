import { createHash } from 'node:crypto'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p, type Libp2p } from 'libp2p'
import { expect, vi } from 'vitest'

/** A libp2p node as the node of this project makes it: TCP on loopback, noise, yamux, identify. */
export const libp2pNode = async (): Promise<Libp2p> =>
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
export const network = () => {
  const nodes: Libp2p[] = []
  return {
    node: async () => {
      const made = await libp2pNode()
      nodes.push(made)
      return made
    },
    /** Connects two nodes, and waits until each knows what the other speaks. */
    connect: async (one: Libp2p, other: Libp2p, protocol = '/ipfs/bitswap/1.2.0') => {
      await one.dial(other.getMultiaddrs())
      const speaks = async (node: Libp2p, peer: Libp2p) => expect((await node.peerStore.get(peer.peerId)).protocols).toContain(protocol)
      await vi.waitFor(async () => Promise.all([speaks(one, other), speaks(other, one)]), { timeout: 20_000, interval: 5 })
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(nodes.map((node) => node.stop()))
    },
  }
}

export const sha256Hex = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
