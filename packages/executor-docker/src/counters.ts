import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import type { AbortOptions } from '@skrei/executor'
import { type CgroupPlace, countersAt, networkIn, placeFor, placeOf, processAt, usualPlaces } from './cgroup.ts'
import type { EngineClient, EngineCounters } from './engine-client.ts'

/** The counters of one container. Disposed of, it lets go of what it holds open. */
export interface ContainerCounters extends Disposable {
  /** Finds out where they are, if that is not known. */
  prepare(): Promise<void>
  /** As they are at this moment, where this machine's kernel shows them. */
  now(): EngineCounters | undefined
  /** As they are now, or when the engine answers, where it must be asked. Undefined where the container does not run. */
  read(options?: AbortOptions): Promise<EngineCounters | undefined>
}

/**
 * Counters of an engine's containers. Where the engine is of this machine the kernel's own files have them, at once, until the engine tidies up some milliseconds after the end of the program; the engine answers much
 * slower (20.10 once a second), and is asked where these files are elsewhere (Docker Desktop), or shut off. Where they lie is learnt from the first container that is found.
 *
 * `proc`: where this machine's `/proc` is mounted.
 */
export const containerCounters = (engine: EngineClient, proc = '/proc') => {
  let known: { readonly container: string; readonly place: CgroupPlace } | undefined
  let isElsewhere = false

  const text = (path: string): string | undefined => {
    try {
      return readFileSync(`${proc}/${path}`, 'utf8')
    } catch {
      return undefined
    }
  }

  const usual = (container: string): CgroupPlace | undefined => {
    const place = usualPlaces(text('self/mountinfo') ?? '', container).find((one) => countersAt(one) !== undefined)
    if (place !== undefined) known = { container, place }
    return place
  }

  /** Where the cgroup of a running container lies, by its process; remembers it, or that it lies elsewhere. */
  const learn = async (container: string, options: AbortOptions): Promise<CgroupPlace | undefined> => {
    const pid = (await engine.inspect(container, options))?.pid
    if (pid === undefined) return undefined
    const cgroup = text(`${pid}/cgroup`)
    const place = cgroup === undefined ? undefined : placeOf({ cgroup, mountinfo: text('self/mountinfo') ?? '' }, container)
    if (place !== undefined && countersAt(place) !== undefined) known = { container, place }
    // It may also have ended meanwhile.
    else if ((await engine.inspect(container, options))?.pid === pid) isElsewhere = true
    return known?.container === container ? place : undefined
  }

  /** `hasNetwork`: whether it has one of its own to be counted. */
  return (container: string, hasNetwork: boolean): ContainerCounters => {
    let place: CgroupPlace | undefined
    let seen = false
    let network: number | undefined

    /** Held open: what the process counted can still be read when it is gone. */
    const openNetwork = (at: CgroupPlace): boolean => {
      if (!hasNetwork || network !== undefined) return true
      try {
        network = openSync(`${proc}/${processAt(at)}/net/dev`, 'r')
        return true
      } catch {
        return false
      }
    }
    const networkNow = (): ReturnType<typeof networkIn> => {
      if (network === undefined) return {}
      try {
        const bytes = Buffer.alloc(networkBytes)
        return networkIn(bytes.toString('latin1', 0, readSync(network, bytes, 0, bytes.length, 0)))
      } catch {
        return {}
      }
    }

    const now = (): EngineCounters | undefined => {
      if (isElsewhere) return undefined
      place ??= known ? placeFor(known.place, known.container, container) : usual(container)
      const counters = place && countersAt(place)
      if (place === undefined || counters === undefined || !(openNetwork(place) || seen)) return undefined
      seen = true
      return { ...counters, ...networkNow() }
    }

    return {
      prepare: async () => {
        if (now() === undefined && known === undefined && !isElsewhere) await learn(container, {})
      },
      now,
      read: async (options = {}) => {
        const at = now()
        // What was there and is no more has ended.
        if (at !== undefined || seen) return at
        if (!isElsewhere && known === undefined) {
          place = await learn(container, options)
          const learnt = now()
          if (learnt !== undefined) return learnt
        }
        return engine.counters(container, options)
      },
      [Symbol.dispose]: () => {
        if (network !== undefined) closeSync(network)
        network = undefined
      },
    }
  }
}

/** A container has few interfaces, of some 130 bytes a line. */
const networkBytes = 16_384
