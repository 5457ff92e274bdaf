import type { StateStore } from '@skrei/state-store'
import { allRows } from './kernel/all-rows.ts'
import type { Kernel } from './kernel/kernel.ts'

/** How many of this node's jobs are not over: counted once, and then kept with every turn. */
export interface OpenJobs extends Disposable {
  count(): number
  /** It is not known whether a turn was written: they are counted again. */
  unsure(): void
}

const rowsPerPage = 500

export const createOpenJobs = ({ store, kernel }: { readonly store: StateStore; readonly kernel: Kernel }): OpenJobs => {
  let known: number | undefined

  const listening = kernel.onTransition(({ kind, from, open }) => {
    if (kind !== 'job' || known === undefined) return
    if (from === undefined) known += 1
    if (!open) known -= 1
  })

  return {
    count: () => {
      known ??= store.read((reader) => {
        let count = 0
        for (const _ of allRows(reader, 'job', { open: true }, rowsPerPage)) count += 1
        return count
      })
      return known
    },
    unsure: () => {
      known = undefined
    },
    [Symbol.dispose]: () => listening[Symbol.dispose](),
  }
}
