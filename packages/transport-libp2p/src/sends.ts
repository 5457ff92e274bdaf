import { boundedRejections, type Rejection } from '@skrei/transport'
import { FrameError, type FrameFields, kinds } from './frame.ts'
import { costOf } from './limits.ts'
import { failure, type LinkCore, longest, roomFor, sendAck, sendFail } from './link-core.ts'

interface Pending {
  readonly count: number
  readonly cost: number
  readonly due: number
  readonly listening: Disposable | undefined
  resolve(rejections: readonly Rejection[]): void
  reject(error: unknown): void
}

/** The sends of one link, both ways. */
export interface Sends {
  send(messages: readonly Uint8Array[], bytes: number, signal: AbortSignal | undefined): Promise<readonly Rejection[]>
  onSend(id: number, fields: FrameFields): void
  onAck(id: number, fields: FrameFields): void
  /** False: no send of this id waits. */
  onFail(id: number, error: Error): boolean
  /** Fails what waits for longer than it may. */
  sweep(elapsed: number): void
  fail(error: Error): void
}

export const linkSends = (core: LinkCore): Sends => {
  const { peer, host, out } = core
  const { limits, clock } = host
  const pending = new Map<number, Pending>()
  let pendingCost = 0
  let working = 0

  const take = (id: number): Pending | undefined => {
    const entry = pending.get(id)
    if (!entry) return undefined
    pending.delete(id)
    pendingCost -= entry.cost
    entry.listening?.[Symbol.dispose]()
    return entry
  }

  return {
    send: (messages, bytes, signal) =>
      new Promise((resolve, reject) => {
        const cost = costOf(bytes, messages.length)
        if (pending.size >= limits.sends || (pending.size > 0 && pendingCost + cost > limits.pendingBytes))
          throw failure('unreachable', `${pending.size} sends of ${pendingCost} bytes wait for ${peer}: as many as may`)
        const id = core.nextId()
        const listening = signal && host.onceAborted(signal, () => take(id)?.reject(signal.reason))
        pending.set(id, { count: messages.length, cost, due: clock.elapsed() + host.timeout, listening, resolve, reject })
        pendingCost += cost
        out.begin(kinds.send)
        out.number(id)
        out.number(messages.length)
        for (const message of messages) {
          out.number(message.length)
          out.bytes(message)
        }
        out.end()
        core.flushSoon()
      }),
    onSend(id, fields) {
      const count = fields.number()
      if (count > limits.messages) throw new FrameError(`a send of ${count} messages where at most ${limits.messages} may be`)
      const body = fields.left
      const messages: Uint8Array[] = []
      let bytes = 0
      for (let index = 0; index < count; index += 1) {
        // A copy of its own each: what a handler keeps of one holds no other.
        const message = new Uint8Array(fields.bytes(fields.number()))
        bytes += message.length
        messages.push(message)
      }
      fields.done()
      if (bytes > limits.maxBytes) throw new FrameError(`a send of ${body} bytes where at most ${limits.maxBytes} may be`)
      const { receiver } = host
      if (!receiver) return sendFail(core, id, 'no-handler', 'this node has no handler for messages')
      const leave = working >= limits.sends ? undefined : roomFor(core, costOf(bytes, count))
      if (leave === undefined) return sendFail(core, id, 'refused', 'too many sends at once')
      working += 1
      const done = (): void => {
        working -= 1
        leave()
      }
      const failed = (error: unknown): void => {
        done()
        host.fault(error, peer, 'receive')
        if (!core.closed) sendFail(core, id, 'refused', 'the handler failed')
      }
      try {
        const handled = receiver(peer, messages) as Promise<readonly Rejection[] | undefined>
        handled
          .then((rejections) => {
            const bounded = rejections === undefined || rejections.length === 0 ? [] : boundedRejections(rejections, count)
            if (!core.closed) sendAck(core, id, bounded)
            done()
          })
          .catch(failed)
      } catch (error) {
        failed(error)
      }
    },
    onAck(id, fields) {
      const entry = take(id)
      const count = fields.number()
      if (count > limits.messages) throw new FrameError(`${count} rejections`)
      const rejections: Rejection[] = []
      for (let index = 0; index < count; index += 1) {
        rejections.push({ index: fields.number(), code: fields.text(longest.code), reason: fields.text(longest.reason) })
      }
      fields.done()
      entry?.resolve(count === 0 ? rejections : boundedRejections(rejections, entry.count))
    },
    onFail(id, error) {
      const entry = take(id)
      entry?.reject(error)
      return entry !== undefined
    },
    sweep(elapsed) {
      // All wait equally long: the first to start is the first that is due.
      for (const [id, { due }] of pending) {
        if (due > elapsed) break
        take(id)?.reject(failure('unreachable', `${peer} did not acknowledge within ${host.timeout} ms`))
      }
    },
    fail(error) {
      for (const id of [...pending.keys()]) take(id)?.reject(error)
    },
  }
}
