/** A subscriber that falls this far behind loses the oldest: announcements are soft state. */
const BACKLOG = 1024

/** One subscriber's queue. Iterate it once; it ends when it is closed, after what it still holds. */
export interface Subscription extends AsyncIterableIterator<Uint8Array> {
  push(bytes: Uint8Array): void
  close(): void
}

export const subscription = (onClose: () => void): Subscription => {
  const queue: Uint8Array[] = []
  const waiting: ((result: IteratorResult<Uint8Array>) => void)[] = []
  let closed = false

  const close = (): void => {
    if (closed) return
    closed = true
    for (const resolve of waiting.splice(0)) resolve({ done: true, value: undefined })
    onClose()
  }

  return {
    push(bytes) {
      if (closed) return
      const resolve = waiting.shift()
      if (resolve) {
        resolve({ done: false, value: bytes })
        return
      }
      queue.push(bytes)
      if (queue.length > BACKLOG) queue.shift()
    },
    close,
    next() {
      const value = queue.shift()
      if (value) return Promise.resolve({ done: false, value })
      if (closed) return Promise.resolve({ done: true, value: undefined })
      return new Promise((resolve) => waiting.push(resolve))
    },
    return() {
      queue.length = 0
      close()
      return Promise.resolve({ done: true, value: undefined })
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
