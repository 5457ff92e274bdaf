import type { PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { TransportError } from '@skrei/transport'
import type { Libp2p } from 'libp2p'
import { type Channel, streamChannel } from './channel.ts'
import { failure } from './link-core.ts'

const version = 1
export const protocolId = `/skrei/${version}/transport`
const anyVersion = /^\/skrei\/(\d{1,6})\/transport$/

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : '')

/** What identify said of the peer; waits for it where it has not yet. */
const protocolsOf = async (libp2p: Libp2p, peerId: PeerId, signal: AbortSignal): Promise<readonly string[]> => {
  // Protocols alone do not say that identify is done: libp2p notes there each that it has opened a stream for.
  const known = async (): Promise<{ readonly identified: boolean; readonly protocols: readonly string[] }> => {
    if (!(await libp2p.peerStore.has(peerId))) return { identified: false, protocols: [] }
    const { metadata, protocols } = await libp2p.peerStore.get(peerId)
    return { identified: metadata.has('AgentVersion'), protocols }
  }
  let heard = (): void => {}
  const identified = new Promise<void>((resolve) => {
    heard = resolve
  })
  const onIdentify = ({ detail }: CustomEvent<{ readonly peerId: PeerId }>): void => {
    if (detail.peerId.equals(peerId)) heard()
  }
  libp2p.addEventListener('peer:identify', onIdentify)
  signal.addEventListener('abort', heard)
  try {
    const before = await known()
    if (before.identified) return before.protocols
    if (!signal.aborted) await identified
    return (await known()).protocols
  } finally {
    libp2p.removeEventListener('peer:identify', onIdentify)
    signal.removeEventListener('abort', heard)
  }
}

const causes = (error: unknown): string => {
  if (!(error instanceof AggregateError)) return error instanceof Error ? error.message : String(error)
  return error.errors.map((each) => causes(each)).join('; ')
}

const explained = async (error: unknown, libp2p: Libp2p, peerId: PeerId, signal: AbortSignal): Promise<TransportError> => {
  if (error instanceof TransportError) return error
  const name = nameOf(error)
  if (name === 'UnsupportedProtocolError') {
    const versions = (await protocolsOf(libp2p, peerId, signal)).flatMap((protocol) => anyVersion.exec(protocol)?.[1] ?? [])
    const theirs = versions.length === 0 ? 'no version of it' : `version ${versions.join(', ')}`
    return failure(
      'unsupported-version',
      `this node speaks version ${version} of ${protocolId.replace(`/${version}/`, '/N/')}, ${peerId.toString()} ${theirs}`,
      error,
    )
  }
  if (name === 'NoValidAddressesError' || name === 'NoPeerRoutersError' || name === 'NotFoundError')
    return failure('unknown-peer', `no address of ${peerId.toString()} is known`, error)
  return failure('unreachable', `${peerId.toString()} was not reached: ${signal.aborted ? String((signal.reason as Error).message) : causes(error)}`, error)
}

/** A stream to the peer: over a connection that is there, or a new one. Rejects with a TransportError. */
export const dial = async (libp2p: Libp2p, peerId: PeerId, addresses: readonly Multiaddr[], signal: AbortSignal): Promise<Channel> => {
  try {
    const [first, ...more] = addresses
    const connection = await libp2p.dial(first ? [first, ...more] : peerId, { signal })
    try {
      return streamChannel(await connection.newStream(protocolId, { signal, maxOutboundStreams: 4 }), connection)
    } catch (error) {
      // A connection that gives no stream in time is one whose other end is gone: the next dial must not take it again.
      if (signal.aborted) connection.abort(error as Error)
      throw error
    }
  } catch (error) {
    throw await explained(error, libp2p, peerId, signal)
  }
}
