import type { Output } from '../kernel/event.ts'

/** Every event comes with what the kernel read for it and the time of the turn. */
export type Enveloped<Facts, Event> = Event extends unknown ? Event & { readonly known: Facts; readonly now: number } : never

/** The two actions of every machine. Both do nothing when run: the kernel reads `emit`'s params as data, `note` marks an event as accepted. */
export const actions = {
  emit: (_: unknown, _outputs: readonly Output[]): void => {},
  note: (): void => {},
}

/** What to emit, computed from context and event. */
export const emit = <Given>(outputs: (given: Given) => readonly Output[]) => ({ type: 'emit' as const, params: outputs })
