import type { ApiClient } from '@skrei/api/client'
import { CliError, cliError, type ExitCode, interruptedError } from '../cli-errors.ts'
import { type Interrupts, interrupts } from '../interrupts.ts'
import { leftJob, told } from '../remote/api-failure.ts'
import { connect, type NodeOption } from '../remote/connect.ts'
import { jobCommand } from '../remote/job-command.ts'
import { type Style, styleFor, widthOf } from '../table.ts'
import { fail } from './fail.ts'

export interface AskOptions extends NodeOption {
  readonly json?: true
}

/** What a command that asks a node has in hand. */
export interface Asking {
  readonly client: ApiClient
  readonly json: boolean
  readonly interrupt: Interrupts
  /** The first signal ends the command. */
  readonly signal: AbortSignal
  /** One event on standard output, with --json. */
  event(event: { readonly type: string }): void
  /** Lines for people: on standard output, with --json on standard error. */
  say(lines: string | readonly string[]): void
  /** The text of a command about a job to type next: it names the node where this one did. */
  next(words: string): string
  /** From here on the command is about this job, which goes on without it: `words` go on with it. */
  about(jobId: string, words: string): void
  readonly style: Style
  /** Characters of a line of what `say` writes to; undefined where it is no terminal. */
  readonly width: number | undefined
}

/** Runs a command that talks to a node. Returns its exit code; whatever happens, it has been told. */
export const askNode = async (
  options: AskOptions,
  work: (asking: Asking) => Promise<ExitCode>,
  /** What a signal that ends the command comes to. */
  interrupted = 'interrupted',
): Promise<ExitCode> => {
  const json = options.json === true
  using interrupt = interrupts()
  const people = json ? process.stderr : process.stdout
  const next = (words: string): string => jobCommand(words, options)
  let subject: { readonly jobId: string; readonly next: string } | undefined
  try {
    return await work({
      client: connect(options),
      json,
      interrupt,
      signal: interrupt.first,
      event: (event) => void (json && process.stdout.write(`${JSON.stringify(event)}\n`)),
      say: (lines) => void people.write(`${typeof lines === 'string' ? lines : lines.join('\n')}\n`),
      next,
      about: (jobId, words) => {
        subject = { jobId, next: next(words) }
      },
      style: styleFor(people),
      width: widthOf(people),
    })
  } catch (error) {
    const failure = told(subject === undefined ? error : leftJob(error, subject.jobId, subject.next))
    const cancelled = (): CliError =>
      subject === undefined ? cliError('cancelled', interrupted, { cause: error }) : interruptedError(interrupted, `Go on with it: ${subject.next}`, error)
    return fail(interrupt.first.aborted && !(failure instanceof CliError) ? cancelled() : failure, json, subject?.jobId)
  }
}
