/** How many chunks a serving node may be ahead of what the asking one has taken. */
const WINDOW = 16

/** The asking end of a query: puts chunks in order, and hands them out. */
export interface ChunkStream {
  arrive(sequence: number, chunk: Uint8Array): void
  /** The serving side is done, after `sequence` chunks; with an error when it gave up. */
  end(sequence: number, error?: Error): void
  /** At once, whatever has arrived. */
  fail(error: unknown): void
  /** Nobody will take any more: the serving side must not wait for room. */
  abandon(): void
  /** Undefined at the end. One at a time. */
  take(): Promise<Uint8Array | undefined>
  /** Resolves when the serving side may send one more: it has sent `sent`. */
  room(sent: number): Promise<void>
}

export const chunkStream = (): ChunkStream => {
  const chunks = new Map<number, Uint8Array>()
  let taken = 0
  let last: { readonly sequence: number; readonly error?: Error } | undefined
  let abandoned = false
  let failure: { readonly error: unknown } | undefined
  let wakeTaker: (() => void) | undefined
  let wakeSender: (() => void) | undefined

  const wake = (): void => {
    wakeTaker?.()
    wakeTaker = undefined
  }
  const free = (): void => {
    wakeSender?.()
    wakeSender = undefined
  }

  return {
    arrive(sequence, chunk) {
      if (sequence < taken || chunks.has(sequence)) return
      chunks.set(sequence, chunk)
      wake()
    },
    end(sequence, error) {
      last ??= { sequence, ...(error && { error }) }
      wake()
    },
    fail(error) {
      failure ??= { error }
      wake()
      free()
    },
    abandon() {
      abandoned = true
      free()
    },
    async take() {
      for (;;) {
        if (failure) throw failure.error
        const chunk = chunks.get(taken)
        if (chunk) {
          chunks.delete(taken)
          taken += 1
          free()
          return chunk
        }
        if (last && last.sequence === taken) {
          if (last.error) throw last.error
          return undefined
        }
        await new Promise<void>((resolve) => {
          wakeTaker = resolve
        })
      }
    },
    async room(sent) {
      while (sent - taken >= WINDOW && !failure && !abandoned) {
        await new Promise<void>((resolve) => {
          wakeSender = resolve
        })
      }
    },
  }
}
