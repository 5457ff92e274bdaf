import { systemClock } from '@skrei/transport/system-clock'
import { libp2pTransport } from '../src/index.ts'

/** A node in a process of its own: `node process-node.ts SEED-HEX PORT [PEER]`. Sends of a 0 are never acknowledged. With a peer, it sends one message to it, and ends. */
const [seed = '', port = '0', peer] = process.argv.slice(2)

const transport = await libp2pTransport({
  privateKey: new Uint8Array(Buffer.from(seed, 'hex')),
  listen: [`/ip4/127.0.0.1/tcp/${port}`],
  peers: peer === undefined ? [] : [peer],
  clock: systemClock(),
})
transport.receive(async (_, [message]) => {
  if (message?.[0] === 0) {
    process.send?.('holding')
    await new Promise(() => {})
  }
})
transport.serve('live', async function* (_from, _body, { signal }) {
  yield Uint8Array.of(1)
  await new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true }))
})
await transport.start()
process.send?.(transport.addresses())

if (peer !== undefined) {
  const to = peer.slice(peer.lastIndexOf('/') + 1)
  await transport.send(to, [Uint8Array.of(7)], {})
  await transport[Symbol.asyncDispose]()
  // Nothing of the transport's is left that would keep the process alive.
  process.disconnect()
}
