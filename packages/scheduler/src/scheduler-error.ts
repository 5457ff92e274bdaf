/** Why a call to a scheduler came to nothing: code -> who must do what. */
export const schedulerErrors = {
  stopped: {
    cause: 'The node stopped while somebody waited for a job; the job is recorded as it was.',
    remedy: 'Wait for it again when the node is started anew, on the same store.',
  },
  'started-before': {
    cause: '`start` was called a second time.',
    remedy: 'Start a scheduler once; to start a node again, make a new one over the same store.',
  },
  'no-job': { cause: 'There is no job of this id, or it is forgotten.', remedy: 'Use the id that `submit` gave; see the setting `keepJobs`.' },
} as const

export type SchedulerErrorCode = keyof typeof schedulerErrors

/** Thrown by `start` and `finished`. */
export class SchedulerError extends Error {
  override readonly name = 'SchedulerError'
  readonly code: SchedulerErrorCode

  constructor(code: SchedulerErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
