/** Why a node does not start: code -> who must do what. */
export const startErrors = {
  'compute-missing': {
    cause:
      'The store holds executions for other nodes that are not over, and this node is started without its compute role: nobody would stop them, free what they hold or answer for them.',
    remedy: 'Start the node with `compute` until these executions are over, or with a store of its own.',
  },
} as const

export type StartErrorCode = keyof typeof startErrors

/** Thrown by `start`, before anything has happened. */
export class StartError extends Error {
  override readonly name = 'StartError'
  readonly code: StartErrorCode

  constructor(code: StartErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
