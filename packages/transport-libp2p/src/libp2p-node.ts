import { createPrivateKey, createPublicKey } from 'node:crypto'
import { privateKeyFromRaw } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { createLibp2p, type Libp2p } from 'libp2p'
import { leanNoise } from './lean-noise.ts'
import type { Libp2pTransportOptions } from './options.ts'

type OwnNode = Extract<Libp2pTransportOptions, { readonly privateKey: Uint8Array }>

const seedBytes = 32
/** Before the seed in PKCS #8: RFC 8410. */
const pkcs8Head = Buffer.from('302e020100300506032b657004220420', 'hex')

/** libp2p derives the public key in JavaScript, which takes tens of milliseconds of every start. */
const keyFromSeed = (seed: Uint8Array) => {
  const privateKey = createPrivateKey({ key: Buffer.concat([pkcs8Head, seed]), format: 'der', type: 'pkcs8' })
  const publicKey = createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32)
  return privateKeyFromRaw(Buffer.concat([seed, publicKey]))
}

/** A node that nodes of this project can talk to, not started: TCP and WebSockets, noise, yamux, identify, ping. It reaches nobody by itself. */
export const libp2pNode = async ({ privateKey, listen = [], announce = [] }: OwnNode, connections: number): Promise<Libp2p> => {
  if (privateKey.length !== seedBytes) throw new RangeError(`libp2pTransport: privateKey must be ${seedBytes} bytes, not ${privateKey.length}`)
  return createLibp2p({
    start: false,
    privateKey: keyFromSeed(privateKey),
    addresses: { listen: [...listen], announce: [...announce] },
    transports: [tcp(), webSockets()],
    connectionEncrypters: [leanNoise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), ping: ping() },
    // Nodes of one network share hosts and private networks: the defaults take five connections a second from one address.
    connectionManager: { maxConnections: connections, inboundConnectionThreshold: 1000, maxIncomingPendingConnections: 1000 },
    // By default it breaks connections of a busy process after five seconds: the transport finds out by itself who is gone.
    connectionMonitor: { pingInterval: 60_000, pingTimeout: { minTimeout: 30_000, maxTimeout: 60_000 }, abortConnectionOnPingFailure: false },
    connectionGater: { denyDialMultiaddr: () => false },
  })
}
