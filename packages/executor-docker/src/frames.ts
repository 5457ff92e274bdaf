import { EngineError, type EngineOutput } from './engine-client.ts'

/** The engine's frames: a byte that names the stream, three of nothing, four of length, the bytes: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach */
const headerBytes = 8
const names = { 1: 'stdout', 2: 'stderr' } as const

/** The output in a stream of frames, piece by piece as it arrives: nothing waits until a frame is whole. */
export async function* pieces(source: AsyncIterable<Uint8Array>): AsyncGenerator<EngineOutput> {
  const header = new Uint8Array(headerBytes)
  let read = 0
  let left = 0
  let stream: EngineOutput['stream'] = 'stdout'
  for await (const chunk of source) {
    let at = 0
    while (at < chunk.length) {
      if (left === 0) {
        const part = chunk.subarray(at, at + headerBytes - read)
        header.set(part, read)
        read += part.length
        at += part.length
        if (read < headerBytes) break
        read = 0
        stream = streamOf(header)
        left = new DataView(header.buffer).getUint32(4)
      } else {
        const bytes = chunk.subarray(at, at + left)
        at += bytes.length
        left -= bytes.length
        yield { stream, bytes }
      }
    }
  }
}

/** A log message is at most 16 KiB and its time: https://github.com/moby/moby/blob/v20.10.24/daemon/logger/copier.go */
const longestFrame = 65_536

/** The frames themselves, each whole. For logs, where a frame is one message. */
export async function* frames(source: AsyncIterable<Uint8Array>): AsyncGenerator<EngineOutput> {
  let held = Buffer.alloc(0)
  for await (const chunk of source) {
    held = held.length === 0 ? Buffer.from(chunk) : Buffer.concat([held, chunk])
    for (;;) {
      if (held.length < headerBytes) break
      const length = held.readUInt32BE(4)
      if (length > longestFrame) throw new EngineError(`the engine's log has a message of ${length} bytes, more than it ever writes`)
      if (held.length < headerBytes + length) break
      yield { stream: streamOf(held), bytes: held.subarray(headerBytes, headerBytes + length) }
      held = held.subarray(headerBytes + length)
    }
  }
}

const streamOf = (header: Uint8Array): EngineOutput['stream'] => {
  const stream = header[0] === 1 || header[0] === 2 ? names[header[0]] : undefined
  if (stream === undefined) throw new EngineError('the engine sent output that is not in its frames')
  return stream
}
