/** `works`: the node uses it. `absent`: the node does without it. `broken`: the node would use it, and cannot. */
export type FindingState = 'works' | 'absent' | 'broken'

/** One thing that `skrei doctor` looked at. */
export interface Finding {
  readonly name: string
  readonly state: FindingState
  readonly detail: string
  /** What to do: a command, where one does it. */
  readonly remedy?: string
}
