import { FailureError } from '@skrei/job-spec'
import { failureOfConnection, shown } from './exchange.ts'

export interface Pace {
  /** The longest time in milliseconds without a byte. */
  readonly silenceTimeout: number
  /** The least average over the same time. */
  readonly minBytesPerSecond: number
}

/** Runs work that must end within a time; then `stop` is told why, which has to make the work end. */
export const within = async <T>(milliseconds: number, stop: (error: FailureError) => void, detail: () => string, work: () => Promise<T>): Promise<T> => {
  const timer = setTimeout(() => stop(new FailureError('source-timeout', detail())), milliseconds)
  try {
    return await work()
  } finally {
    clearTimeout(timer)
  }
}

/**
 * The chunks of a body, as long as they come fast enough. Only the time that is spent waiting for the server counts, not what the reader
 * takes between two chunks. `stop` aborts the request, upon which the body throws what it was given.
 */
export async function* pacedBody(
  body: AsyncIterable<Uint8Array>,
  url: URL,
  pace: Pace,
  signal: AbortSignal,
  stop: (error: FailureError) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const seconds = pace.silenceTimeout / 1000
  const iterator = body[Symbol.asyncIterator]()
  let waited = 0
  let received = 0
  try {
    while (true) {
      const asked = performance.now()
      let step: IteratorResult<Uint8Array>
      try {
        step = await within(
          pace.silenceTimeout,
          stop,
          () => `${shown(url)} sent nothing for ${seconds} s`,
          () => iterator.next(),
        )
      } catch (error) {
        signal.throwIfAborted()
        throw failureOfConnection(error, url)
      }
      if (step.done) return
      waited += performance.now() - asked
      received += step.value.length
      if (waited >= pace.silenceTimeout) {
        if (received < (pace.minBytesPerSecond * waited) / 1000)
          throw new FailureError('source-timeout', `${shown(url)} sent only ${received} bytes in ${Math.round(waited / 1000)} s`)
        waited = 0
        received = 0
      }
      yield step.value
    }
  } finally {
    await iterator.return?.()
  }
}
