import { FrameError, kinds } from './frame.ts'
import { costOf } from './limits.ts'
import { failure, type LinkCore, roomFor, sendBare, sendFail } from './link-core.ts'

interface Served {
  readonly controller: AbortController
  credit: number
  wake: (() => void) | undefined
}

/** The queries that this node answers over one link. */
export interface ServedQueries {
  onQuery(id: number, window: number, protocol: string, body: Uint8Array): void
  onCredit(id: number, bytes: number): void
  onCancel(id: number): void
  /** There is room on the link again. */
  wake(): void
  stop(): void
}

export const servedQueries = (core: LinkCore): ServedQueries => {
  const { peer, host, out } = core
  const { limits } = host
  const running = new Map<number, Served>()

  const wake = (served: Served): void => {
    served.wake?.()
    served.wake = undefined
  }

  const cancel = (served: Served): void => {
    served.controller.abort()
    wake(served)
  }

  const serve = async (id: number, served: Served, protocol: string, body: Uint8Array, leave: () => void): Promise<void> => {
    const { signal } = served.controller
    try {
      const handler = host.served.get(protocol)
      if (!handler) return sendFail(core, id, 'no-handler', `this node serves no ${protocol}`)
      for await (const chunk of handler(peer, body, { signal })) {
        while (!signal.aborted && (served.credit <= 0 || !core.hasRoom())) {
          await new Promise<void>((resolve) => {
            served.wake = resolve
          })
        }
        if (signal.aborted) return
        if (chunk.length > limits.maxBytes) throw failure('too-large', `a chunk of ${chunk.length} bytes is more than the ${limits.maxBytes} that one may have`)
        served.credit -= costOf(chunk.length, 1)
        out.begin(kinds.data)
        out.number(id)
        out.bytes(chunk)
        out.end()
        core.flushSoon()
      }
      if (!signal.aborted) sendBare(core, kinds.end, id)
    } catch (error) {
      if (signal.aborted) return
      host.fault(error, peer, 'serve')
      sendFail(core, id, 'refused', 'the handler failed')
    } finally {
      running.delete(id)
      leave()
    }
  }

  return {
    onQuery(id, window, protocol, body) {
      const leave = running.size >= limits.queries ? undefined : roomFor(core, costOf(body.length, 1))
      if (leave === undefined) return sendFail(core, id, 'refused', 'too many queries at once')
      const served: Served = { controller: new AbortController(), credit: window, wake: undefined }
      running.set(id, served)
      void serve(id, served, protocol, new Uint8Array(body), leave)
    },
    onCredit(id, bytes) {
      const served = running.get(id)
      if (!served) return
      served.credit += bytes
      if (!Number.isSafeInteger(served.credit)) throw new FrameError('more credit than can be counted')
      if (served.credit > 0) wake(served)
    },
    onCancel(id) {
      const served = running.get(id)
      if (served) cancel(served)
    },
    wake() {
      for (const served of running.values()) wake(served)
    },
    stop() {
      for (const served of running.values()) cancel(served)
    },
  }
}
