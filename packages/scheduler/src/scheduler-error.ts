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
  'no-shard': { cause: 'The job has no shard of this index.', remedy: 'Count from 0; `job` says how many shards there are, once it is planned.' },
  'logs-gone': {
    cause: 'Of what the execution wrote to its streams nothing is left: its node was lost, or the job publishes nothing (publisher none).',
    remedy: 'Follow the logs while it runs, or use a publisher.',
  },
  'logs-unavailable': {
    cause: 'The node that runs the execution, or the place where its logs were published, did not answer in time, or not as it should.',
    remedy: 'Try again, from the position that was reached.',
  },
} as const

export type SchedulerErrorCode = keyof typeof schedulerErrors

/** Thrown by `start`, `finished` and `logs`. */
export class SchedulerError extends Error {
  override readonly name = 'SchedulerError'
  readonly code: SchedulerErrorCode

  constructor(code: SchedulerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
