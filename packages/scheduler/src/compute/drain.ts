import type { StateStore } from '@skrei/state-store'
import { allRows } from '../kernel/all-rows.ts'
import type { KernelEvent } from '../kernel/event.ts'
import type { Kernel } from '../kernel/kernel.ts'

const asksPerTurn = 200

/** Asks that nothing is held for: whoever asked may ask another node. Those that come later are declined when they come. */
export const declineWaiting = async ({ store, kernel }: { readonly store: StateStore; readonly kernel: Pick<Kernel, 'submit'> }): Promise<void> => {
  for (const state of ['queued', 'assessing']) {
    const ids = store.read((reader) => Array.from(allRows(reader, 'compute', { state, open: true }, asksPerTurn), ({ id }) => id))
    while (ids.length > 0) {
      const events = ids.splice(0, asksPerTurn).map((id): KernelEvent => ({ kind: 'compute', id, event: { type: 'drain' }, actor: 'user' }))
      await kernel.submit(events)
    }
  }
}

/** Resolves once this node has no execution any more, from the bid to the clean-up; with the signal's reason it rejects. */
export const allOver = async (
  { store, kernel }: { readonly store: StateStore; readonly kernel: Pick<Kernel, 'onTransition'> },
  { signal }: { readonly signal: AbortSignal },
): Promise<void> => {
  const isEmpty = (): boolean => store.read((reader) => reader.list('compute', { open: true, limit: 1 })).length === 0
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  using _listening = kernel.onTransition(({ kind, open }) => {
    if (kind === 'compute' && !open && isEmpty()) resolve()
  })
  const abort = (): void => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    signal.throwIfAborted()
    if (isEmpty()) resolve()
    await promise
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
