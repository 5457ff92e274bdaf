import type { Kernel } from '../kernel/kernel.ts'
import type { ExecutionContext } from '../machines/execution.ts'

/** Wakes those who wait for something to happen to a shard: to itself, to an execution of it, or to its job's end. */
export interface ShardNews extends Disposable {
  /** Resolves with the next news, or with the signal. Listens from the moment it is called, until it is disposed. */
  next(shardId: string, signal: AbortSignal): Disposable & { readonly promise: Promise<void> }
}

export const createShardNews = (kernel: Pick<Kernel, 'onTransition'>): ShardNews => {
  const waiting = new Map<string, Set<() => void>>()
  const wake = (shardId: string): void => {
    for (const resolve of waiting.get(shardId) ?? []) resolve()
  }

  const listening = kernel.onTransition(({ kind, id, from, to, open, context }) => {
    if (waiting.size === 0 || from === to) return
    if (kind === 'shard') wake(id)
    if (kind === 'execution') wake((context as unknown as ExecutionContext).shardId)
    if (kind === 'job' && !open) for (const shardId of waiting.keys()) if (shardId.startsWith(`${id}/`)) wake(shardId)
  })

  return {
    next: (shardId, signal) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      const those = waiting.get(shardId) ?? new Set()
      waiting.set(shardId, those.add(resolve))
      const abort = (): void => resolve()
      signal.addEventListener('abort', abort)
      if (signal.aborted) resolve()
      return {
        promise,
        [Symbol.dispose]: () => {
          signal.removeEventListener('abort', abort)
          those.delete(resolve)
          if (those.size === 0 && waiting.get(shardId) === those) waiting.delete(shardId)
        },
      }
    },
    [Symbol.dispose]: () => listening[Symbol.dispose](),
  }
}
