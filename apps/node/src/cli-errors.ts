/** 0 is a completed job; 1 also stands for a fault of the program itself. */
export const exitCodes = { completed: 0, failed: 1, 'bad-input': 2, 'no-node': 3, 'not-accepted': 4, cancelled: 130 } as const
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

export interface CliErrorKind {
  readonly exit: ExitCode
  readonly cause: string
  readonly remedy: string
}

/**
 * What the command line itself can find wrong: the closed list. Problems of a job file have codes of `@skrei/job-spec`, a job that failed has one of its `failures`.
 * Imports nothing: docs/errors.md is generated from it.
 */
export const cliErrors = {
  usage: { exit: 2, cause: 'The command line is not one that skrei knows.', remedy: 'See `skrei --help`, or `skrei COMMAND --help`.' },
  'node-too-old': { exit: 2, cause: 'This Node.js is too old for skrei.', remedy: 'Use Node.js 22.18 or newer.' },
  'output-unwritable': {
    exit: 1,
    cause: 'Standard output could not be written, as on a full disk.',
    remedy: 'Make room, or send the output elsewhere.',
  },
  'file-not-found': {
    exit: 2,
    cause: 'The job file does not exist.',
    remedy: 'Correct the path; `-` reads standard input; `skrei spec init` writes an example.',
  },
  'file-unreadable': {
    exit: 2,
    cause: 'The job file cannot be read: a directory, no permission, more than 1 MiB, or not UTF-8.',
    remedy: 'Give a readable YAML or JSON file, in UTF-8.',
  },
  'file-not-regular': {
    exit: 2,
    cause: 'The job file is no regular file: a pipe, a socket, a terminal or another device.',
    remedy: 'Give a regular file; or `-`, and the job on standard input.',
  },
  'file-exists': {
    exit: 2,
    cause: 'The file that would be written exists already.',
    remedy: 'Choose another name, or remove the file: nothing is overwritten.',
  },
  'output-not-empty': {
    exit: 2,
    cause: 'The directory that the result should go to is not empty.',
    remedy: 'Name a new or an empty directory: nothing is overwritten.',
  },
  'output-unusable': {
    exit: 2,
    cause: 'The directory that the result should go to cannot be made or written to.',
    remedy: 'Name a directory that you may write to.',
  },
  'home-unusable': { exit: 2, cause: 'The folder SKREI_HOME cannot be made or written to.', remedy: 'Set SKREI_HOME to a folder that you may write to.' },
  'home-too-new': {
    exit: 2,
    cause: 'The folder SKREI_HOME was written by a newer version of skrei.',
    remedy: 'Use that version, or set SKREI_HOME to another folder.',
  },
  'home-locked': {
    exit: 2,
    cause: 'Another skrei holds the folder SKREI_HOME while it starts, for too long.',
    remedy: 'Try again; end a skrei process that hangs.',
  },
  'identity-invalid': {
    exit: 2,
    cause: "The node's key file in SKREI_HOME is damaged.",
    remedy: 'Restore the file, or remove it: a new key, and with it a new node id, is made.',
  },
  'no-node-named': {
    exit: 2,
    cause: 'The command talks to a node: none was named, and none runs on SKREI_HOME.',
    remedy: 'Start one with `skrei node start`; or name one with --node URL, or with SKREI_NODE.',
  },
  'node-url-invalid': {
    exit: 2,
    cause: 'What names the node is no URL of http or https.',
    remedy: 'Give the address that the node printed when it started, such as http://127.0.0.1:1212.',
  },
  'node-unknown': {
    exit: 2,
    cause: 'The node that is asked knows no compute node of this id, or several.',
    remedy: 'See `skrei node list` for those that it knows.',
  },
  'job-not-over': { exit: 1, cause: 'The job has no result yet.', remedy: 'Wait for its end: `skrei job wait`.' },
  'config-unreadable': {
    exit: 2,
    cause: 'The configuration file does not exist, or cannot be read as text.',
    remedy: 'Correct the path that --config names; without it, SKREI_HOME/config.yaml is read where it exists.',
  },
  'config-invalid': {
    exit: 2,
    cause: 'A setting of the node makes no sense; what the reader of job files finds, such as `unknown-key`, has that code.',
    remedy: 'Correct it where the message says: in the file, the environment or the flags.',
  },
  'api-exposed': {
    exit: 2,
    cause: 'The API would be open to other machines, and it asks nobody who they are: whoever reaches it may run jobs.',
    remedy: 'Leave api.host at a loopback address and reach it through a tunnel; or, where the network is only yours, set api.insecure: true.',
  },
  'address-unusable': {
    exit: 2,
    cause: 'The node cannot listen on an address: another program does, or it is not one of this machine.',
    remedy: 'Choose another in `listen` or `api.port`; port 0 is any that is free.',
  },
  'duplicate-identity': {
    exit: 2,
    cause: 'Another node lives with this key: one with the same SKREI_HOME, or with a copy of it.',
    remedy: 'Stop the other node; a second node needs a SKREI_HOME of its own, not a copy.',
  },
  'devnet-ended': { exit: 1, cause: 'Every process of the devnet has ended by itself.', remedy: 'Start it again with --home DIR, and read DIR/node-0/log.' },
  'cid-invalid': { exit: 2, cause: 'What was given is not a CID.', remedy: 'Give the CID that `skrei run` printed, such as bafy….' },
  'result-not-found': {
    exit: 1,
    cause: 'Blocks of this CID are not in the blockstore of SKREI_HOME.',
    remedy: 'Check the CID, and that SKREI_HOME is the one of the node that published it.',
  },
  'result-damaged': {
    exit: 1,
    cause: 'Blocks of this CID are damaged, or are not files and directories.',
    remedy: 'Run the job again, or fetch the CID from another node.',
  },
  'machine-unfit': {
    exit: 1,
    cause: 'Something that a node on this machine would use does not work.',
    remedy: '`skrei doctor` says what, and what to do about it.',
  },
  cancelled: { exit: 130, cause: 'The command was interrupted.', remedy: 'Start it again.' },
  internal: { exit: 1, cause: 'Something went wrong inside skrei.', remedy: 'Report it, with the log that the message names.' },
} as const satisfies Readonly<Record<string, CliErrorKind>>

export type CliErrorCode = keyof typeof cliErrors

/** Where in a job file, or in which flag. `path` is the field's, as in `inputs[0].source`; lines and columns count from 1. */
export interface Place {
  /** As in `--memory`, or the argument's name, as in `IMAGE`. */
  readonly flag?: string
  readonly file?: string
  readonly line?: number
  readonly column?: number
  readonly path?: string
}

/** One thing that is wrong, as it is printed and as it stands in JSON events. */
export interface Problem extends Place {
  readonly code: string
  readonly message: string
  readonly remedy?: string
}

/** Ends a command with the exit code of its kind. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly problems: readonly [Problem, ...Problem[]]
  readonly exit: ExitCode

  constructor(exit: ExitCode, problems: readonly [Problem, ...Problem[]], options?: ErrorOptions) {
    super(problems[0].message, options)
    this.exit = exit
    this.problems = problems
  }
}

/** A problem of the command line's own list, with its remedy. */
export const problem = (code: CliErrorCode, message: string, place: Place = {}): Problem => ({ code, message, ...place, remedy: cliErrors[code].remedy })

export const cliError = (code: CliErrorCode, message: string, options: ErrorOptions & { readonly place?: Place } = {}): CliError =>
  new CliError(cliErrors[code].exit, [problem(code, message, options.place)], options)

/** Node's `code` of a system error, such as ENOENT. */
export const systemCode = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
