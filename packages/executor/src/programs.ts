import type { Task } from '@skrei/job-spec'

/** A program of the engine under test: its engine spec, and its staged sources by slot as in `RunRequest.files`. */
export interface Program {
  readonly engine: Task['engine']
  readonly files?: Readonly<Record<string, string>>
}

/** What each program does. Programs see `/inputs` (read-only) and `/outputs` (writable). Only `hello` is required. */
export interface Programs {
  /** Writes `hello` and a newline to standard output and ends with 0. */
  readonly hello: Program
  /** Writes `oops` and a newline to standard error, nothing to standard output, and ends with 7. */
  readonly exit7?: Program
  /** Writes `ready` and a newline to standard output at once, and never ends by itself. */
  readonly forever?: Program
  /** As `forever`, and goes on changing the content of `/outputs/beat`. Best a loop that never waits: it must be possible to kill that too. */
  readonly beats?: Program
  /** Writes at least 256 KiB to standard output and ends with 0. */
  readonly flood?: Program
  /** Given the arguments `one`, `two words` and the empty one, writes each to standard output, each followed by a newline. */
  readonly arguments?: Program
  /** Writes the value of the variable GREETING to standard output. */
  readonly environment?: Program
  /** Given `from stdin` on standard input, copies it to standard output. */
  readonly stdin?: Program
  /** Copies `/inputs/letter.txt` to standard output. */
  readonly reads?: Program
  /** Tries to change, replace and delete `/inputs/letter.txt` and to create `/inputs/new.txt`, whatever the answers are. */
  readonly tampers?: Program
  /** Writes `hello` and a newline to `/outputs/greeting.txt`, `deep` and a newline to `/outputs/a/b/deep.txt`. */
  readonly writes?: Program
  /** Writes at least 1 MiB to `/outputs`. */
  readonly fills?: Program
  /** Writes at least 32 files to `/outputs`. */
  readonly scatters?: Program
  /** Tries to make `/outputs/link` a link to `/` and to write through it, whatever the answers are. */
  readonly links?: Program
  /** Writes bytes of the system's randomness and the time to standard output, in any form. For engines that promise equal output for an equal seed. */
  readonly random?: Program
  /** Is stopped by its engine. */
  readonly traps?: Program
  /** Needs more than 64 MiB of memory and is ended for it. */
  readonly exhausts?: Program
  /** Is nothing that the engine can run. */
  readonly invalid?: Program
  /** Names a staged file that is not there: the node's fault. */
  readonly missing?: Program
  /** Has a field that the engine does not support. */
  readonly unsupported?: Program
}
