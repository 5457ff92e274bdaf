import { FrameError, kinds } from './frame.ts'
import { costOf } from './limits.ts'
import { failure, type LinkCore, sendBare } from './link-core.ts'

interface Asked {
  chunks: Uint8Array[]
  /** What the peer may still send; its last chunk may overdraw it. */
  credit: number
  /** What the reader has taken since credit was given last. */
  taken: number
  ended: { readonly error?: unknown } | undefined
  wake: (() => void) | undefined
}

/** The queries that this node has asked over one link. */
export interface AskedQueries {
  ask(protocol: string, body: Uint8Array, signal: AbortSignal | undefined): AsyncIterable<Uint8Array>
  onData(id: number, chunk: Uint8Array): void
  onEnd(id: number, error?: Error): void
  fail(error: Error): void
}

export const askedQueries = (core: LinkCore): AskedQueries => {
  const { peer, host, out } = core
  const { limits } = host
  const running = new Map<number, Asked>()

  const end = (asked: Asked, error?: unknown): void => {
    asked.ended ??= error === undefined ? {} : { error }
    asked.wake?.()
  }

  return {
    async *ask(protocol, body, signal) {
      if (core.closed) throw failure('unreachable', `the stream to ${peer} is closed`)
      if (running.size >= limits.queries) throw failure('unreachable', `${running.size} queries to ${peer} run: as many as may`)
      const id = core.nextId()
      const asked: Asked = { chunks: [], credit: limits.window, taken: 0, ended: undefined, wake: undefined }
      running.set(id, asked)
      const listening =
        signal &&
        host.onceAborted(signal, () => {
          asked.chunks = []
          asked.ended = { error: signal.reason }
          asked.wake?.()
        })
      out.begin(kinds.query)
      out.number(id)
      out.number(limits.window)
      out.text(protocol)
      out.bytes(body)
      out.end()
      core.flushSoon()
      let complete = false
      try {
        for (;;) {
          const chunk = asked.chunks.shift()
          if (chunk) {
            asked.taken += costOf(chunk.length, 1)
            if (asked.taken * 2 >= limits.window && !asked.ended) {
              asked.credit += asked.taken
              out.begin(kinds.credit)
              out.number(id)
              out.number(asked.taken)
              out.end()
              core.flushSoon()
              asked.taken = 0
            }
            yield chunk
          } else if (asked.ended) {
            complete = running.get(id) === undefined
            if ('error' in asked.ended) throw asked.ended.error
            return
          } else {
            await new Promise<void>((resolve) => {
              asked.wake = resolve
            })
            asked.wake = undefined
          }
        }
      } finally {
        listening?.[Symbol.dispose]()
        running.delete(id)
        if (!complete && !core.closed) sendBare(core, kinds.cancel, id)
      }
    },
    onData(id, chunk) {
      const asked = running.get(id)
      if (!asked || asked.ended) return
      if (asked.credit <= 0) throw new FrameError('more of an answer than was asked for')
      asked.credit -= costOf(chunk.length, 1)
      asked.chunks.push(new Uint8Array(chunk))
      asked.wake?.()
    },
    onEnd(id, error) {
      const asked = running.get(id)
      if (!asked) return
      running.delete(id)
      end(asked, error)
    },
    fail(error) {
      for (const asked of running.values()) end(asked, error)
      running.clear()
    },
  }
}
