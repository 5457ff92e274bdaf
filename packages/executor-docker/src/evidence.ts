import type { RunEvent } from '@skrei/executor'
import type { Usage } from '@skrei/job-spec'
import type { EngineClient } from './engine-client.ts'

/** What only ever grows: what the engine says later and smaller (a process that ended is not counted twice, or not at all) is not believed. */
const growing = new Set(['cpuMs', 'memoryPeak', 'blockReadBytes', 'blockWriteBytes', 'networkReceivedBytes', 'networkSentBytes'])

export interface Evidence extends Disposable {
  /** What is known of the whole run by now. */
  usage(): Usage
}

export interface EvidenceOptions {
  readonly engine: EngineClient
  readonly container: string
  /** Milliseconds between two samples; 0 = none. */
  readonly interval: number
  readonly more?: () => Promise<Readonly<Record<string, number>>>
  readonly tell: (event: Extract<RunEvent, { type: 'evidence' }>) => void
  /** Milliseconds since the program began. */
  readonly elapsed: () => number
}

/** Samples the counters of a container until it is disposed of. A sample that fails is left out. */
export const evidence = ({ engine, container, interval, more, tell, elapsed }: EvidenceOptions): Evidence => {
  const over = new AbortController()
  const known: Record<string, number> = {}
  let timer: NodeJS.Timeout | undefined
  const sample = async (): Promise<void> => {
    const counters = await engine.counters(container, { signal: over.signal })
    // The engine reads when it answers, which may be a second after it was asked (20.10 reads once a second).
    const at = elapsed()
    if (counters === undefined || over.signal.aborted) return
    const now: Record<string, number> = { ...counters, ...(await more?.()) }
    // Version 2 of cgroups does not say the peak: then it is the highest that was seen.
    if (counters.memoryPeak === undefined && counters.memory !== undefined) now['memoryPeak'] = counters.memory
    for (const [name, value] of Object.entries(now)) known[name] = growing.has(name) ? Math.max(known[name] ?? 0, value) : value
    tell({ type: 'evidence', at, counters: Object.fromEntries(Object.keys(now).map((name) => [name, known[name] ?? 0])) })
  }
  const again = (milliseconds: number): void => {
    timer = setTimeout(() => {
      const began = performance.now()
      void sample()
        .catch(() => undefined)
        .then(() => over.signal.aborted || again(Math.max(1, interval - (performance.now() - began))))
    }, milliseconds)
  }
  if (interval > 0) again(interval)
  return {
    usage: () => ({
      ...(known['cpuMs'] !== undefined && { cpuMs: known['cpuMs'] }),
      ...(known['memoryPeak'] !== undefined && { memoryPeak: known['memoryPeak'] }),
    }),
    [Symbol.dispose]: () => {
      over.abort()
      clearTimeout(timer)
    },
  }
}
