import { decodeSampleHead, encodeSampleRequest, type SampleHead, type SampleRequest, sampleFrames, sampleProtocol } from '@skrei/protocol'
import type { Clock, Transport } from '@skrei/transport'

export interface AskSampleWorld {
  readonly network: string
  readonly clock: Clock
  readonly transport: Transport
  /** How long a peer may take, in milliseconds. */
  readonly patience: number
}

/**
 * Asks one peer; `take` gets each announcement as it comes, `request.most` at most. Nothing in the answer is believed here. Undefined where there was no answer, or none that is one:
 * what came until then was taken.
 */
export const askSample = async (
  { network, clock, transport, patience }: AskSampleWorld,
  peer: string,
  request: Omit<SampleRequest, 'network'>,
  take: (announcement: Uint8Array) => void,
  { signal }: { readonly signal: AbortSignal },
): Promise<SampleHead | undefined> => {
  const late = new AbortController()
  using _timeout = clock.at(clock.now() + patience, () => late.abort(new DOMException('no answer in time', 'TimeoutError')))
  let head: SampleHead | undefined
  try {
    const chunks = transport.query(peer, sampleProtocol, encodeSampleRequest({ network, ...request }), { signal: AbortSignal.any([signal, late.signal]) })
    for await (const frame of sampleFrames(chunks, { most: request.most })) {
      if (head === undefined) head = decodeSampleHead(frame, { network })
      else take(frame)
    }
    return head
  } catch {
    // Unreachable, too slow, or no answer of this protocol: there are others.
    return undefined
  }
}
