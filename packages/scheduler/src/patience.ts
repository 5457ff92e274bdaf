import type { Kind, StateMeta } from './kernel/machine.ts'
import type { Logger } from './options.ts'
import type { Settings } from './settings.ts'
import type { SteadyClock } from './steady-clock.ts'

/** Before a node judges others by its clock, it gives them a lease to be heard (PROTOCOL.md rule 7): after its start, and after its time of day was set. */
export interface Patience {
  /** A lease begins in which no deadline about a peer fires. */
  begin(): void
  /** Looks whether the time of day was set. */
  check(): void
  /** Until when a deadline of this state waits, if it does: a little apart, so that they do not all fire at once. */
  until(kind: Kind, state: string): number | undefined
}

export const createPatience = (world: {
  readonly clock: SteadyClock
  readonly settings: Settings
  readonly random: () => number
  readonly logger: Logger
  /** Tells that the time of day was set: what is known of it should outlast the node. */
  readonly jumped: () => void
}): Patience => {
  const { clock, settings } = world
  let end = Number.NEGATIVE_INFINITY
  /** The jump is not written down yet: a store that could not is asked again. */
  let isUntold = false
  const begin = (): void => {
    end = clock.now() + settings.lease
  }
  return {
    begin,
    check: () => {
      const by = clock.jumped()
      if (by !== 0) {
        world.logger.warn('the time of day was set, or the machine slept: peers get a lease to be heard', { by })
        begin()
        isUntold = true
      }
      if (!isUntold) return
      world.jumped()
      isUntold = false
    },
    until: (kind, state) => {
      if (kind.peer === undefined || clock.now() >= end) return undefined
      const meta = kind.machine.states[state]?.meta as StateMeta | undefined
      return meta?.owner === kind.peer ? end + Math.floor((world.random() * settings.lease) / 4) : undefined
    },
  }
}
