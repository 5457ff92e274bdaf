import type { Stream } from '@libp2p/interface'

/** What a stream of `@libp2p/yamux` counts of its receive window, in bytes, and how it tells the other end of more. */
interface Window {
  readonly state: number
  readonly recvWindow: number
  readonly recvWindowCapacity: number
  sendWindowUpdate(): void
}

/** `StreamState.Established` of `@libp2p/yamux`: nothing is to be said with an update but the window. */
const established = 3

const hasWindow = (stream: object): stream is Window => {
  const { state, recvWindow, recvWindowCapacity, sendWindowUpdate } = stream as Partial<Window>
  return typeof state === 'number' && typeof recvWindow === 'number' && typeof recvWindowCapacity === 'number' && typeof sendWindowUpdate === 'function'
}

/**
 * Tells the other end of more room only once half of the window is used, as yamux in other languages does: `@libp2p/yamux` answers every frame of data with an update, which is a
 * message of its own to encrypt, write, read and decrypt. The specification leaves it to the receiver when to send one
 * (https://github.com/hashicorp/yamux/blob/master/spec.md#flow-control). A stream that is none of that package's stays as it is.
 */
export const spareUpdates = (stream: Stream): void => {
  if (!hasWindow(stream)) return
  const update = stream.sendWindowUpdate
  stream.sendWindowUpdate = () => {
    if (stream.state === established && stream.recvWindowCapacity > stream.recvWindow / 2) return
    update.call(stream)
  }
}
