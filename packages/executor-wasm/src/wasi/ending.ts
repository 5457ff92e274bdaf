/** Why the guest does not go on. Thrown through it; once it is known, every further call of the guest throws it again, as a guest can catch. */
export type Ending =
  | { readonly type: 'exit'; readonly code: number }
  | { readonly type: 'failure'; readonly code: 'trap' | 'output-too-large' | 'disk-full' | 'task-invalid'; readonly detail: string }
  /** Something went wrong that is not the guest's doing. */
  | { readonly type: 'fault'; readonly message: string }

export class EndingError extends Error {
  override readonly name = 'EndingError'
  readonly ending: Ending

  constructor(ending: Ending) {
    super(ending.type)
    this.ending = ending
  }
}
