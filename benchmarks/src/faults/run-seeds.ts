import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

export interface SeedsOptions {
  /** Seeds 1 to this one. */
  readonly seeds: number
  /** Threads. */
  readonly workers: number
  readonly note: (text: string) => void
  /** What runs a seed again, for people. */
  readonly replay: (seed: number) => string
  /** Ends the run: what was found so far is the result. */
  readonly signal?: AbortSignal
  /** What a thread runs: is sent seeds, answers what was broken. */
  readonly entry?: URL
  /** Milliseconds between two lines of progress. */
  readonly noteEvery?: number
  /** Milliseconds that one seed may take. */
  readonly longest?: number
}

export interface SeedsOutcome {
  readonly done: number
  /** In the order of their seeds, whatever the order in which they were found. */
  readonly broken: readonly { readonly seed: number; readonly message: string }[]
}

const flags = ['--conditions=@skrei/source', '--no-warnings']

/** Runs seeds on as many threads as asked. A broken one is told as soon as all before it are done, with what replays it. */
export const runSeeds = async (options: SeedsOptions): Promise<SeedsOutcome> => {
  const { seeds, note, replay, signal, entry = new URL('./seed-worker.ts', import.meta.url), noteEvery = 10_000, longest = 300_000 } = options
  /** By seed; undefined = not done yet. */
  const results = new Map<number, string | null>()
  const start = performance.now()
  let next = 1
  let told = 0

  const tell = (seed: number): void => {
    const message = results.get(seed) ?? null
    if (message !== null) note(`seed ${seed}: ${message}\n  again: ${replay(seed)}`)
  }

  const done = (seed: number, message: string | null): void => {
    results.set(seed, message)
    while (results.has(told + 1)) tell(++told)
  }

  const broken = (): SeedsOutcome['broken'] =>
    [...results].flatMap(([seed, message]) => (message === null ? [] : [{ seed, message }])).sort((one, other) => one.seed - other.seed)

  const progress = setInterval(() => {
    const left = Math.ceil(((performance.now() - start) / Math.max(1, results.size) / 1000) * (seeds - results.size))
    note(`${results.size} of ${seeds} seeds, ${broken().length} broken, ${results.size === 0 ? 'the first ones under way' : `about ${left} s to go`}`)
  }, noteEvery)

  /** What is broken after a seed, or ends with it, is not used again: each seed replays by itself. */
  const thread = async (): Promise<void> => {
    while (next <= seeds && !signal?.aborted) {
      const worker = new Worker(entry, { execArgv: flags })
      // Of a seed under way it is the answer; of one that has answered, nobody asks.
      worker.on('error', () => {})
      try {
        let answer: string | null = null
        while (answer === null && next <= seeds && !signal?.aborted) {
          const seed = next++
          answer = await answerOf(worker, seed, longest, signal)
          if (signal?.aborted) return
          done(seed, answer)
        }
      } finally {
        await worker.terminate()
      }
    }
  }

  try {
    await Promise.all(Array.from({ length: Math.min(options.workers, seeds) }, thread))
  } finally {
    clearInterval(progress)
  }
  // Interrupted: those after the first one that is not done.
  for (const { seed } of broken()) if (seed > told) tell(seed)
  return { done: results.size, broken: broken() }
}

/** What was broken; an end of the thread and an answer that does not come are broken too. */
const answerOf = async (worker: Worker, seed: number, longest: number, signal: AbortSignal | undefined): Promise<string | null> => {
  const given = new AbortController()
  const deadline = AbortSignal.timeout(longest)
  const until = AbortSignal.any([given.signal, deadline, ...(signal ? [signal] : [])])
  worker.postMessage(seed)
  try {
    // `once` rejects on "error": what nobody in the thread caught.
    return await Promise.race([
      once(worker, 'message', { signal: until }).then(([message]) => message as string | null),
      once(worker, 'exit', { signal: until }).then(([code]) => `its thread ended with ${code}`),
    ])
  } catch (error) {
    if (deadline.aborted) return `it has not ended within ${longest} ms`
    return error instanceof Error ? error.message : String(error)
  } finally {
    given.abort()
  }
}
