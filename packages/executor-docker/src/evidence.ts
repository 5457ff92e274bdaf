import type { RunEvent } from '@skrei/executor'
import type { Usage } from '@skrei/job-spec'
import type { ContainerCounters } from './counters.ts'
import type { EngineCounters } from './engine-client.ts'

/** What only ever grows: what the engine says later and smaller (a process that ended is not counted twice, or not at all) is not believed. */
const growing = new Set(['cpuMs', 'memoryPeak', 'blockReadBytes', 'blockWriteBytes', 'networkReceivedBytes', 'networkSentBytes'])

export interface Evidence extends Disposable {
  /** What is known of the whole run by now. */
  usage(): Usage
  /** Takes no more samples, and tells the last one that it took. */
  end(): void
}

export interface EvidenceOptions {
  readonly counters: ContainerCounters
  /** Milliseconds between two samples; 0 = none. */
  readonly interval: number
  readonly more?: () => Promise<Readonly<Record<string, number>>>
  readonly tell: (event: Extract<RunEvent, { type: 'evidence' }>) => void
  /** Milliseconds since the program began. */
  readonly elapsed: () => number
}

/** Milliseconds between two looks at the least. */
const leastPause = 5
/** What a program did since the last look is not known once it has ended, as the engine removes what counted: so much of its age at most. */
const unseenShare = 0.1

/**
 * Samples the counters of a container until it ends, and disposes of them. Those that can be had at once are looked at more often than they are told while a program is young: so that what it used is known
 * to its end, or nearly. A sample that fails is left out.
 */
export const evidence = ({ counters, interval, more, tell, elapsed }: EvidenceOptions): Evidence => {
  const over = new AbortController()
  const known: Record<string, number> = {}
  let timer: NodeJS.Timeout | undefined
  let toldAt = 0
  let untold: { readonly at: number; readonly counters: Readonly<Record<string, number>> } | undefined

  /** As they are told: what only grows as the most that was seen. */
  const grown = (found: EngineCounters): Readonly<Record<string, number>> => {
    const now: Record<string, number> = { ...found }
    // Older kernels with version 2 of cgroups do not say the peak: then it is the highest that was seen.
    if (found.memoryPeak === undefined && found.memory !== undefined) now['memoryPeak'] = found.memory
    for (const [name, value] of Object.entries(now)) known[name] = growing.has(name) ? Math.max(known[name] ?? 0, value) : value
    return Object.fromEntries(Object.keys(now).map((name) => [name, known[name] ?? 0]))
  }
  const look = async (): Promise<boolean> => {
    const here = counters.now()
    if (here !== undefined) untold = { at: elapsed(), counters: grown(here) }
    if (elapsed() - toldAt < interval) return here !== undefined
    const found = here ?? (await counters.read({ signal: over.signal }))
    // The engine reads when it answers, which may be a second after it was asked (20.10 reads once a second).
    const at = elapsed()
    const others = found && (await more?.())
    if (found === undefined || over.signal.aborted) return here !== undefined
    untold = undefined
    toldAt = at
    tell({ type: 'evidence', at, counters: { ...grown(found), ...others } })
    return here !== undefined
  }
  const again = async (): Promise<void> => {
    const isAtOnce = await look().catch(() => false)
    if (over.signal.aborted) return
    const pause = isAtOnce ? Math.max(leastPause, elapsed() * unseenShare) : interval
    timer = setTimeout(() => void again(), Math.max(1, Math.min(pause, toldAt + interval - elapsed())))
  }
  if (interval > 0)
    void counters.prepare().then(
      () => again(),
      () => again(),
    )
  return {
    usage: () => ({
      ...(known['cpuMs'] !== undefined && { cpuMs: known['cpuMs'] }),
      ...(known['memoryPeak'] !== undefined && { memoryPeak: known['memoryPeak'] }),
    }),
    end: () => {
      over.abort()
      if (untold !== undefined) tell({ type: 'evidence', ...untold })
      untold = undefined
    },
    [Symbol.dispose]: () => {
      over.abort()
      clearTimeout(timer)
      counters[Symbol.dispose]()
    },
  }
}
