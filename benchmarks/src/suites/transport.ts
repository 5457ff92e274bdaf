import { randomBytes } from 'node:crypto'
import type { Stream } from '@libp2p/interface'
import { systemClock } from '@skrei/transport/system-clock'
import { type Libp2pTransport, libp2pTransport } from '@skrei/transport-libp2p'
import { measure } from '../measure.ts'
import { spread } from '../spread.ts'
import { type Suite, samplesOf } from '../suite.ts'

const figures = {
  roundTripRatio:
    'the time of a send with its acknowledgement, one after the other, by that of as many bytes there and back on a raw stream of the same connection',
  messagesPerSecond: 'messages of 200 bytes, one a send, with at most 256 sends unacknowledged',
}

const messageBytes = 200
const inFlight = 256
/** They take less time each. */
const pipelinedFactor = 10
const rawProtocol = '/skrei-benchmark/1/echo'

const pair = async (): Promise<readonly [Libp2pTransport, Libp2pTransport]> => {
  const clock = systemClock()
  const node = (peers: readonly string[]): Promise<Libp2pTransport> =>
    libp2pTransport({ privateKey: new Uint8Array(randomBytes(32)), listen: ['/ip4/127.0.0.1/tcp/0'], peers, clock })
  const to = await node([])
  to.receive(async () => {})
  await to.start()
  const from = await node(to.addresses())
  await from.start()
  return [from, to]
}

/** Sends what it gets back, as it comes. */
const rawStream = async (from: Libp2pTransport, to: Libp2pTransport): Promise<Stream> => {
  await to.libp2p.handle(rawProtocol, (stream) => {
    stream.addEventListener('message', ({ data }) => void stream.send(data))
  })
  const [connection] = from.libp2p.getConnections(to.libp2p.peerId)
  if (!connection) throw new Error('the two nodes are not connected')
  return connection.newStream(rawProtocol)
}

const rawRoundTrips = (stream: Stream, message: Uint8Array, count: number): Promise<void> =>
  new Promise((resolve) => {
    let left = count
    let missing = message.length
    const onMessage = ({ data }: { readonly data: { readonly byteLength: number } }): void => {
      missing -= data.byteLength
      if (missing > 0) return
      missing = message.length
      left -= 1
      if (left > 0) return void stream.send(message)
      stream.removeEventListener('message', onMessage)
      resolve()
    }
    stream.addEventListener('message', onMessage)
    stream.send(message)
  })

const roundTrips = async (from: Libp2pTransport, to: string, message: Uint8Array, count: number): Promise<void> => {
  for (let sent = 0; sent < count; sent++) await from.send(to, [message], {})
}

const pipelined = async (from: Libp2pTransport, to: string, message: Uint8Array, count: number): Promise<void> => {
  let sent = 0
  const lane = async (): Promise<void> => {
    while (sent < count) {
      sent += 1
      await from.send(to, [message], {})
    }
  }
  await Promise.all(Array.from({ length: inFlight }, lane))
}

export const suite: Suite = {
  name: 'transport',
  about: 'Two nodes in one process over TCP on loopback, each with the default libp2p: what the transport adds to a raw stream, and what it carries.',
  figures,
  repeat: 5,
  run: async ({ full, smallest, repeat, note }) => {
    const count = full ? 20_000 : smallest ? 20 : 2000
    const blocks = smallest ? 1 : 10
    const [from, to] = await pair()
    try {
      const message = new Uint8Array(randomBytes(messageBytes))
      // Both ways are compiled before anything is measured.
      await roundTrips(from, to.self, message, count)
      const stream = await rawStream(from, to)
      await rawRoundTrips(stream, message, count)
      await pipelined(from, to.self, message, count)
      const rounds: Record<string, number>[] = []
      for (let round = 0; round < repeat; round++) {
        const ratios: number[] = []
        for (let block = 0; block < blocks; block++) {
          const raw = await measure(() => rawRoundTrips(stream, message, Math.ceil(count / blocks)))
          const ours = await measure(() => roundTrips(from, to.self, message, Math.ceil(count / blocks)))
          ratios.push(ours.wallMs / raw.wallMs)
        }
        const flow = await measure(() => pipelined(from, to.self, message, count * pipelinedFactor))
        rounds.push({ roundTripRatio: spread(ratios).median, messagesPerSecond: ((count * pipelinedFactor) / flow.wallMs) * 1000 })
        note(`round ${round + 1} of ${repeat}`)
      }
      return samplesOf(rounds)
    } finally {
      await from[Symbol.asyncDispose]()
      await to[Symbol.asyncDispose]()
    }
  },
}
