/** What a suite is asked for. */
export interface SuiteRun {
  /** The size that the project reports; without it, one that takes a minute or less. */
  readonly full: boolean
  /** The smallest size that still gives every figure: for a check that the suite works. Never with `full`. */
  readonly smallest: boolean
  /** How many times what varies is measured. */
  readonly repeat: number
  /** Progress, for people. */
  note(text: string): void
  /** Aborted by the first Ctrl-C, where the suite is `interruptible`. */
  readonly signal: AbortSignal
}

/** A figure's name and what it was each time: at least one finite number. */
export type Samples = Readonly<Record<string, readonly number[]>>

/** One file in `suites/` exports one, as `suite`; the file has its name. Each run has a process of its own. */
export interface Suite {
  readonly name: string
  /** One sentence. */
  readonly about: string
  /** Every figure by its name, which never changes once it is published, with what it counts. */
  readonly figures: Readonly<Record<string, string>>
  /** How many times, where the caller does not say. Default 3. */
  readonly repeat?: number
  /** When its `signal` is aborted, it ends soon and gives the figures of what it has done. Others are ended as they are. */
  readonly interruptible?: true
  run(run: SuiteRun): Promise<Samples>
}

/** What was measured round by round, as samples. */
export const samplesOf = (rounds: readonly Readonly<Record<string, number>>[]): Samples =>
  Object.fromEntries(Object.keys(rounds[0] ?? {}).map((figure) => [figure, rounds.map((round) => round[figure] ?? Number.NaN)]))
