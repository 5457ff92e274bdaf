import type { StateStore } from '@skrei/state-store'
import type { Clock } from '@skrei/transport'
import { allRows } from '../kernel/all-rows.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { ComputeContext } from '../machines/compute-execution.ts'
import { doneStates } from '../open-executions.ts'
import { unlessAborted } from '../unless-aborted.ts'

const asksPerTurn = 200

/** Asks that nothing is held for: whoever asked may ask another node. None comes to these states any more, since the node declines what comes later at once. */
export const declineWaiting = async ({ store, kernel }: { readonly store: StateStore; readonly kernel: Pick<Kernel, 'submit'> }): Promise<void> => {
  for (const state of ['assessing', 'queued']) {
    for (let after: string | undefined; ; ) {
      const where = { state, open: true, limit: asksPerTurn, ...(after !== undefined && { after }) }
      const rows = store.read((reader) => reader.list('compute', where))
      after = rows.at(-1)?.id
      if (after === undefined) break
      await kernel.submit(rows.map(({ id }) => ({ kind: 'compute', id, event: { type: 'drain' }, actor: 'user' })))
    }
  }
}

export interface DrainWorld {
  readonly store: StateStore
  readonly kernel: Pick<Kernel, 'onTransition'>
  readonly clock: Clock
  /** From when on a requester counts as away, unless it is heard from meanwhile. */
  readonly awayAt: (requester: string) => number
}

/**
 * Resolves once this node has no execution any more, from the bid to the clean-up; with the signal's reason it rejects. What is done and kept for a requester that is away is not waited for: that may
 * take `terms.retention`, and the next start has it again.
 */
export const allOver = async ({ store, kernel, clock, awayAt }: DrainWorld, { signal }: { readonly signal: AbortSignal }): Promise<void> => {
  /** Before when it is not over; as far as only a change tells, never. */
  const notBefore = (): number =>
    store.read((reader) => {
      for (const { state, data } of allRows(reader, 'compute', { open: true }, asksPerTurn)) {
        const at = doneStates.has(state) ? awayAt((data as unknown as ComputeContext).requester) : Infinity
        if (at > clock.now()) return at
      }
      return Number.NEGATIVE_INFINITY
    })
  const { promise, resolve } = Promise.withResolvers<void>()
  let alarm: Disposable | undefined
  const look = (): void => {
    alarm?.[Symbol.dispose]()
    alarm = undefined
    const at = notBefore()
    if (at <= clock.now()) resolve()
    else if (at < Infinity) alarm = clock.at(at, look)
  }
  using _listening = kernel.onTransition(({ kind, open, to }) => {
    if (kind === 'compute' && (!open || doneStates.has(to))) look()
  })
  try {
    signal.throwIfAborted()
    look()
    await unlessAborted(promise, signal)
  } finally {
    alarm?.[Symbol.dispose]()
  }
}
