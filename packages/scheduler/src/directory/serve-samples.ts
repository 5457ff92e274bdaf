import { decodeSampleRequest, encodeSampleHead, frame, maxNamedPeers, maxSampleBytes, ProtocolError, type SampleRequest, sampleProtocol } from '@skrei/protocol'
import type { Clock, Transport } from '@skrei/transport'
import type { Directory } from './directory.ts'
import { createPeerAllowance } from './peer-allowance.ts'
import { createPool } from './pool.ts'

export interface ServeSamplesWorld {
  readonly network: string
  readonly clock: Clock
  readonly random: () => number
  readonly transport: Transport
  readonly directory: Directory
  /** This node's own announcement, signed; absent where it runs nothing. */
  readonly own: () => Uint8Array | undefined
}

/** Whoever asks for announcements too often gets the head alone; and nothing at all, who asks too often for that. */
const announcements = { each: { burst: 64, perSecond: 8 }, all: { burst: 256, perSecond: 64 } }
const heads = { each: { burst: 128, perSecond: 16 }, all: { burst: 2048, perSecond: 512 } }
/** At how many peers an answer looks: the number of all that are connected is estimated from them where there are more. */
const mostLookedAt = 64

/** Answers whoever asks with a few of the announcements that this node holds, its own first. Costs this node nothing else: it need not look for others itself. */
export const serveSamples = ({ network, clock, random, transport, directory, own }: ServeSamplesWorld): Disposable => {
  const mayAnnounce = createPeerAllowance({ clock, ...announcements })
  const mayAnswer = createPeerAllowance({ clock, ...heads })

  const sampled = (from: string, { most, engine }: SampleRequest): readonly Uint8Array[] => {
    const mine = own()
    const others = directory.sample(most, engine).flatMap(({ node, bytes }) => (bytes === undefined || node === from ? [] : [bytes]))
    return [...(mine === undefined ? [] : [mine]), ...others].slice(0, most)
  }

  return transport.serve(sampleProtocol, async function* (from, body) {
    if (!mayAnswer.take(from)) return
    const request = read(body, network)
    if (request === undefined) return
    const looked = transport.peers({ limit: mostLookedAt })
    const peers = createPool(
      random,
      looked.flatMap(({ id, connected }) => (connected ? [id] : [])),
    )
    const head = encodeSampleHead({
      network,
      peers: looked.length === 0 ? 0 : Math.round((peers.size / looked.length) * transport.peerCount()),
      some: peers.draw(maxNamedPeers, maxNamedPeers + 1, (id) => id !== from),
      sees: [...new Set(request.about)].filter((id) => transport.peer(id)?.connected === true),
    })
    yield frame(head)
    if (request.most === 0 || !mayAnnounce.take(from)) return
    let bytes = 4 + head.length
    for (const announcement of sampled(from, request)) {
      bytes += 4 + announcement.length
      if (bytes > maxSampleBytes) return
      yield frame(announcement)
    }
  })
}

/** A request that is none has no answer. */
const read = (body: Uint8Array, network: string): SampleRequest | undefined => {
  try {
    return decodeSampleRequest(body, { network })
  } catch (error) {
    if (error instanceof ProtocolError) return undefined
    throw error
  }
}
