import type { ConnectionEncrypter, MessageStream, SecureConnectionOptions, SecuredConnection } from '@libp2p/interface'
import { noise } from '@libp2p/noise'

interface Bytes {
  readonly byteLength: number
}

/** What a secured stream of `@libp2p/noise` does with what comes and goes. */
interface Secured {
  encrypt(chunk: Bytes): Bytes & { subarray(): Uint8Array }
  readonly decoder: { lengthDecoder(data: Bytes): number }
}

const isSecured = (stream: object): stream is Secured => {
  const { encrypt, decoder } = stream as Partial<Secured>
  return typeof encrypt === 'function' && typeof decoder?.lengthDecoder === 'function'
}

/** Bytes of a message's length before it. */
const lengthBytes = 2
/** What is longer is not worth a copy. */
const shortest = 16 * 1024
/** One for all: the stack of an error costs more than what it reports. */
const tooShort = new RangeError('the length of a message has not arrived whole')

/**
 * `@libp2p/noise` gives each message and its length to the socket as two writes, which are two packets and two reads of the other end; and it finds out by an error that nothing is
 * left to decode, after each message. A stream that is none of that package's stays as it is.
 */
const lighten = (stream: MessageStream): void => {
  if (!isSecured(stream)) return
  const { decoder } = stream
  const encrypt = stream.encrypt.bind(stream)
  const lengthOf = decoder.lengthDecoder
  Object.assign(stream, {
    encrypt: (chunk: Bytes) => {
      const parts = encrypt(chunk)
      return parts.byteLength > shortest ? parts : parts.subarray()
    },
  })
  decoder.lengthDecoder = (data) => {
    if (data.byteLength < lengthBytes) throw tooShort
    return lengthOf(data)
  }
}

/** Noise as `@libp2p/noise` speaks it, with less work a message. */
export const leanNoise = (): ReturnType<typeof noise> => {
  const create = noise()
  return (components) => {
    const encrypter = create(components)
    const lightened =
      (secure: ConnectionEncrypter['secureInbound']) =>
      async (connection: MessageStream, options?: SecureConnectionOptions): Promise<SecuredConnection> => {
        const secured = await secure.call(encrypter, connection, options)
        lighten(secured.connection)
        return secured
      }
    return Object.assign(encrypter, { secureInbound: lightened(encrypter.secureInbound), secureOutbound: lightened(encrypter.secureOutbound) })
  }
}
