import { setTimeout as later } from 'node:timers'

/** One event as it is sent. `data` is JSON, so it has no line breaks; an id that has some is left out. */
export const frame = (event: string, data: unknown, id = ''): string =>
  `${/^[\x21-\x7e]+$/.test(id) ? `id: ${id}\n` : ''}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`

/** In place of a last frame: the reader is to come again, after a second. */
export const comeAgain = 'retry: 1000\n\n'

export interface EventStreamOptions {
  /** Frames in order. When it ends, or throws, `last` says what is told of it. */
  readonly source: AsyncIterable<string>
  /** Frames that need not come: the newest instead of those that the reader had no room for. */
  readonly hints?: () => string
  /** Told when there are hints. */
  readonly onHint?: (wake: () => void) => void
  /** The last frame: after the end, or after an error. */
  readonly last: (error: unknown) => string
  /** Milliseconds. */
  readonly heartbeat: number
  /** Once aborted, the stream ends without a last frame: its reader comes again. */
  readonly closing: AbortSignal
}

/** Frames as they come, nothing pulled from the source before the one before was taken; a comment where nothing comes for long. */
export async function* eventStream(options: EventStreamOptions): AsyncGenerator<string, void, undefined> {
  const { source, hints, onHint, last, heartbeat, closing } = options
  const iterator = source[Symbol.asyncIterator]()
  let result: { readonly value?: string; readonly done?: true; readonly error?: unknown } | undefined
  let pulled = false
  let wake = (): void => undefined
  onHint?.(() => wake())
  const onClosing = () => wake()
  closing.addEventListener('abort', onClosing, { once: true })
  const pull = () => {
    pulled = true
    iterator.next().then(
      (next) => {
        result = next.done === true ? { done: true } : { value: next.value }
        wake()
      },
      (error) => {
        result = { done: true, error }
        wake()
      },
    )
  }
  try {
    // So that the reader knows at once that it is connected.
    yield ': skrei\n\n'
    while (true) {
      if (!pulled) pull()
      let silent = false
      if (result === undefined && !closing.aborted) {
        await new Promise<void>((resolve) => {
          const timer = later(() => {
            silent = true
            resolve()
          }, heartbeat)
          wake = () => {
            clearTimeout(timer)
            resolve()
          }
        })
        wake = () => undefined
      }
      const hinted = hints?.() ?? ''
      if (hinted !== '') yield hinted
      if (closing.aborted) return yield comeAgain
      if (result?.done === true) return yield last(result.error)
      if (result?.value !== undefined) {
        const { value } = result
        result = undefined
        pulled = false
        yield value
      } else if (silent) yield ': still here\n\n'
    }
  } finally {
    closing.removeEventListener('abort', onClosing)
    // Not waited for: a source that is in the middle of something ends when its signal says so.
    iterator.return?.()?.catch(() => undefined)
  }
}
