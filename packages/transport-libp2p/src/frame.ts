/**
 * Frames of `/skrei/1/transport`: four bytes of length (big endian, of what follows), one byte of kind, then the fields. Numbers are unsigned LEB128 in their shortest form
 * (https://en.wikipedia.org/wiki/LEB128), texts UTF-8 with their length before them; the last field of bytes is what is left.
 */
export const kinds = {
  /** id, count, then each message with its length before it */
  send: 1,
  /** id, count, then index, code and reason of each rejection */
  ack: 2,
  /** id, code, message: a send or query has failed */
  fail: 3,
  /** bytes */
  hint: 4,
  /** id, protocol, bytes */
  query: 5,
  /** id, bytes */
  data: 6,
  /** id, how many bytes more the asker takes */
  credit: 7,
  /** id: the answer is complete */
  end: 8,
  /** id: the asker has left */
  cancel: 9,
  /** topic, bytes */
  publish: 10,
  /** id */
  ping: 11,
  /** id */
  pong: 12,
} as const

const headerBytes = 4

/** What a peer says makes no sense: its stream is closed. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
}

/** Collects frames until they leave together. */
export interface FrameWriter {
  readonly length: number
  begin(kind: number): void
  number(value: number): void
  text(value: string): void
  bytes(value: Uint8Array): void
  /** Completes the frame begun last. */
  end(): void
  /** All frames so far; the writer is empty after it, and the bytes are the caller's. */
  take(): Uint8Array
}

const smallest = 512

export const frameWriter = (): FrameWriter => {
  let buffer = Buffer.allocUnsafeSlow(0)
  let length = 0
  let start = 0
  /** What the last ones needed: the next is likely to need as much. */
  let usual = smallest

  const reserve = (more: number): void => {
    if (length + more <= buffer.length) return
    const next = Buffer.allocUnsafeSlow(Math.max(usual, buffer.length * 2, length + more))
    buffer.copy(next, 0, 0, length)
    buffer = next
  }

  const number = (value: number): void => {
    reserve(8)
    let rest = value
    while (rest >= 0x80) {
      buffer[length] = (rest % 0x80) | 0x80
      length += 1
      rest = Math.floor(rest / 0x80)
    }
    buffer[length] = rest
    length += 1
  }

  return {
    get length() {
      return length
    },
    begin(kind) {
      reserve(headerBytes + 1)
      start = length
      buffer[length + headerBytes] = kind
      length += headerBytes + 1
    },
    number,
    text(value) {
      const size = Buffer.byteLength(value)
      number(size)
      reserve(size)
      length += buffer.write(value, length)
    },
    bytes(value) {
      reserve(value.length)
      buffer.set(value, length)
      length += value.length
    },
    end() {
      buffer.writeUInt32BE(length - start - headerBytes, start)
    },
    take() {
      const taken = buffer.subarray(0, length)
      usual = Math.min(Math.max(smallest, length), 64 * 1024)
      buffer = Buffer.allocUnsafeSlow(0)
      length = 0
      return taken
    },
  }
}

/** Reads the fields of one frame, in order; throws a FrameError where they are not there. */
export interface FrameFields {
  number(): number
  text(longest: number): string
  /** The next so many bytes: a view. */
  bytes(count: number): Uint8Array
  /** All that is left: a view. */
  rest(): Uint8Array
  /** Throws where something is left. */
  done(): void
  readonly left: number
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

export const frameFields = (frame: Uint8Array): FrameFields => {
  let offset = 1

  const number = (): number => {
    let value = 0
    let scale = 1
    for (let count = 0; count < 8; count += 1) {
      const byte = frame[offset]
      if (byte === undefined) throw new FrameError('a number ends early')
      offset += 1
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (byte === 0 && count > 0) throw new FrameError('a number is not in its shortest form')
        if (value > Number.MAX_SAFE_INTEGER) throw new FrameError('a number is too large')
        return value
      }
      scale *= 0x80
    }
    throw new FrameError('a number is too long')
  }

  const bytes = (count: number): Uint8Array => {
    if (count > frame.length - offset) throw new FrameError('a field ends early')
    const view = frame.subarray(offset, offset + count)
    offset += count
    return view
  }

  return {
    number,
    bytes,
    text(longest) {
      const size = number()
      if (size > longest) throw new FrameError(`a text of ${size} bytes where at most ${longest} may be`)
      try {
        return utf8.decode(bytes(size))
      } catch (error) {
        throw error instanceof FrameError ? error : new FrameError('a text is not UTF-8')
      }
    },
    rest: () => bytes(frame.length - offset),
    done() {
      if (offset < frame.length) throw new FrameError('a frame is longer than its fields')
    },
    get left() {
      return frame.length - offset
    },
  }
}

/** Cuts what arrives into frames. */
export interface FrameReader {
  /** Calls back for each frame that is complete, kind first: a view that is valid during the call. Throws a FrameError for a length that may not be. */
  push(bytes: Uint8Array): void
  /** How many bytes of a frame that is not complete it holds. */
  readonly held: number
  /** Forgets what it holds, and calls back no more. */
  stop(): void
}

export const frameReader = (longest: number, onFrame: (frame: Uint8Array) => void): FrameReader => {
  let partial = Buffer.alloc(0)
  let held = 0
  let stopped = false

  /** The whole length of the frame that begins there, where its header has arrived. */
  const sizeAt = (bytes: Uint8Array, offset: number, end: number): number => {
    if (end - offset < headerBytes) return headerBytes
    const size =
      (bytes[offset] as number) * 0x1000000 + (((bytes[offset + 1] as number) << 16) | ((bytes[offset + 2] as number) << 8) | (bytes[offset + 3] as number))
    if (size === 0 || size > longest) throw new FrameError(`a frame of ${size} bytes where 1 to ${longest} may be`)
    return headerBytes + size
  }

  /** Grows as bytes arrive, never by what a header promises. */
  const hold = (bytes: Uint8Array): void => {
    if (held + bytes.length > partial.length) {
      const next = Buffer.allocUnsafeSlow(Math.max(held + bytes.length, Math.min(partial.length * 2, longest + headerBytes)))
      partial.copy(next, 0, 0, held)
      partial = next
    }
    partial.set(bytes, held)
    held += bytes.length
  }

  return {
    get held() {
      return held
    },
    push(bytes) {
      let offset = 0
      while (!stopped && held > 0) {
        const needed = sizeAt(partial, 0, held) - held
        if (needed > 0) {
          const end = Math.min(offset + needed, bytes.length)
          hold(bytes.subarray(offset, end))
          offset = end
          if (offset === bytes.length && sizeAt(partial, 0, held) > held) return
          continue
        }
        const frame = partial.subarray(headerBytes, held)
        partial = Buffer.alloc(0)
        held = 0
        onFrame(frame)
      }
      while (!stopped && offset < bytes.length) {
        const end = offset + sizeAt(bytes, offset, bytes.length)
        if (end > bytes.length || bytes.length - offset < headerBytes) {
          hold(bytes.subarray(offset))
          return
        }
        offset += headerBytes
        const frame = bytes.subarray(offset, end)
        offset = end
        onFrame(frame)
      }
    },
    stop() {
      stopped = true
      held = 0
      partial = Buffer.alloc(0)
    },
  }
}
