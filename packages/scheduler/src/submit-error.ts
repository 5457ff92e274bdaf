/** Why a job is not accepted: code -> who must do what. */
export const submitErrors = {
  'not-enough-nodes': {
    cause: 'The job wants more nodes for each shard than this network has.',
    remedy: 'Use verification.method none, lower verification.replicas, or submit the job to a network with more nodes.',
  },
  'not-built': { cause: 'The job asks for something that this release does not do yet.', remedy: 'Remove the field that the message names.' },
  'job-invalid': { cause: 'The job is none that `readJob` of @skrei/job-spec would have given.', remedy: 'Read and check jobs with `readJob`.' },
  'task-too-large': {
    cause: 'The task does not fit into one message: its arguments, environment or inline module are too large.',
    remedy: 'Give the module or the data by another source than inline.',
  },
  'key-reused': {
    cause: 'Another job was submitted with this key before, and is kept.',
    remedy: 'Use a new key for each job, and the same key only to submit the same job again.',
  },
  'key-invalid': { cause: 'The key is none: 1 to 256 characters of well-formed Unicode without NUL.', remedy: 'Use a shorter key, such as a UUID.' },
  draining: { cause: 'The node is about to stop, and takes no new jobs (`drain`).', remedy: 'Submit the job to another node, or once this one has restarted.' },
  'not-started': { cause: 'The node has not started, or is stopping.', remedy: 'Start the node first.' },
} as const

export type SubmitErrorCode = keyof typeof submitErrors

/** Thrown by `submit`; `path` names the field of the job. */
export class SubmitError extends Error {
  override readonly name = 'SubmitError'
  readonly code: SubmitErrorCode
  readonly path: readonly (string | number)[]

  constructor(code: SubmitErrorCode, message: string, path: readonly (string | number)[] = []) {
    super(message)
    this.code = code
    this.path = path
  }
}
