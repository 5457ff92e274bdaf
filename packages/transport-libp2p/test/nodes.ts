import { randomBytes } from 'node:crypto'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { systemClock } from '@skrei/transport/system-clock'
import { expect, vi } from 'vitest'
import { type Libp2pTransport, type Libp2pTransportOptions, libp2pTransport } from '../src/index.ts'
import { proxyTo } from './proxy.ts'

export type Own = Omit<Extract<Libp2pTransportOptions, { readonly privateKey: Uint8Array }>, 'privateKey' | 'clock'> & { readonly privateKey?: Uint8Array }

export const clock = systemClock()

export const seed = (): Uint8Array => new Uint8Array(randomBytes(32))

export const idOf = async (privateKey: Uint8Array): Promise<string> => peerIdFromPrivateKey(await generateKeyPairFromSeed('Ed25519', privateKey)).toString()

/** A transport on loopback that fails in moments, not started. */
export const node = (options: Own = {}): Promise<Libp2pTransport> =>
  libp2pTransport({
    privateKey: seed(),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    clock,
    timeout: 2000,
    pingInterval: 500,
    backoff: { first: 10, longest: 100 },
    ...options,
  })

export const portOf = (transport: Libp2pTransport): number => Number(/\/tcp\/(\d+)/.exec(transport.addresses()[0] ?? '')?.[1])

export const connected = async (transport: Libp2pTransport, peer: string): Promise<void> => {
  await vi.waitFor(() => expect(transport.peer(peer)?.connected).toBe(true), { timeout: 20_000, interval: 5 })
}

/** For the conformance suite: `a` reaches `b` through a proxy, so that `b` can vanish. */
export const conformanceNodes =
  (protocol: '' | '/ws', options: Own = {}) =>
  async () => {
    const listen = [`/ip4/127.0.0.1/tcp/0${protocol}`]
    const b = await node({ listen, ...options })
    await b.start()
    const proxy = await proxyTo(() => portOf(b))
    const a = await node({ listen, peers: [`/ip4/127.0.0.1/tcp/${proxy.port}${protocol}/p2p/${b.self}`], ...options })
    const idle = await node({ listen, peers: b.addresses(), ...options })
    await a.start()
    await connected(b, a.self)
    return {
      a,
      b,
      idle,
      unknown: await idOf(seed()),
      crash: () => proxy.silence(),
      [Symbol.asyncDispose]: async () => {
        await Promise.all([a, b, idle].map((each) => each[Symbol.asyncDispose]()))
        await proxy[Symbol.asyncDispose]()
      },
    }
  }
