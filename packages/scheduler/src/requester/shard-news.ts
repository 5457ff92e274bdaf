import type { Kernel } from '../kernel/kernel.ts'
import type { ExecutionContext } from '../machines/execution.ts'
import { createWaiters, type Waiters } from '../waiters.ts'

/** Wakes those who wait for something to happen to a shard: to itself, to an execution of it, or to its job's end. */
export interface ShardNews extends Disposable, Pick<Waiters, 'next'> {}

export const createShardNews = (kernel: Pick<Kernel, 'onTransition'>): ShardNews => {
  const waiters = createWaiters()
  const listening = kernel.onTransition(({ kind, id, from, to, open, context }) => {
    if (from === to) return
    if (kind === 'shard') waiters.wake(id)
    if (kind === 'execution') waiters.wake((context as unknown as ExecutionContext).shardId)
    if (kind === 'job' && !open) for (const shardId of waiters.keys()) if (shardId.startsWith(`${id}/`)) waiters.wake(shardId)
  })
  return { next: waiters.next, [Symbol.dispose]: () => listening[Symbol.dispose]() }
}
