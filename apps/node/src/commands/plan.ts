import { failures } from '@skrei/job-spec'
import type { JobPlan } from '@skrei/scheduler'
import { CliError, cliError, type ExitCode, exitCodes, type Problem } from '../cli-errors.ts'
import { interrupts } from '../interrupts.ts'
import { remedyOf } from '../job-error.ts'
import type { ResultError } from '../job-events.ts'
import type { ReadJob } from '../job-file.ts'
import { checkLocalSources, localSourceOf } from '../local-sources.ts'
import { planText } from '../plan-text.ts'
import { printable } from '../printable.ts'
import { fail, internal } from './fail.ts'

export interface PlanOptions {
  readonly json?: true
  readonly allowPrivateAddresses?: true
  /** The API of a node; absent: a node in this process. */
  readonly node?: string
}

/** The last line of `skrei run --plan --json`; `outcome` is null where there is no plan. */
type PlanEvent = ({ readonly type: 'plan' } & Omit<JobPlan, 'failure'> & { readonly error: ResultError | null }) | NoPlanEvent
interface NoPlanEvent {
  readonly type: 'plan'
  readonly outcome: null
  readonly error: ResultError
}

/** `skrei run --plan`: what the job would come to, before anything runs. Returns the exit code; whatever happens, it has been told. */
export const plan = async (read: ReadJob, options: PlanOptions): Promise<ExitCode> => {
  const json = options.json === true
  const tell = (event: PlanEvent): void => void (json && process.stdout.write(`${JSON.stringify(event)}\n`))
  using interrupt = interrupts()
  try {
    const job = await read({ signal: interrupt.first })
    const local = localSourceOf(job)
    await checkLocalSources(job, local, { signal: interrupt.first })
    // A job file that is wrong is told before a node is loaded.
    const allowPrivateAddresses = options.allowPrivateAddresses === true
    const planned =
      options.node === undefined
        ? await (await import('../embedded-plan.ts')).planEmbedded({ job, local, allowPrivateAddresses, interrupt })
        : await (await import('../remote/remote-plan.ts')).planRemote({ job, local, option: { node: options.node }, signal: interrupt.first })
    const { failure, ...rest } = planned
    const error = failure === undefined ? null : problemOf(failure)
    const people = json ? process.stderr : process.stdout
    people.write(`${planText(planned, error, people)}\n`)
    tell({ type: 'plan', ...rest, error })
    return exitOf(planned)
  } catch (error) {
    const told =
      error instanceof CliError ? error : interrupt.first.aborted ? cliError('cancelled', 'interrupted', { cause: error }) : internal(error, undefined)
    const exit = fail(told, false)
    tell({ type: 'plan', outcome: null, error: { ...told.problems[0], ...(told.problems.length > 1 && { problems: told.problems }) } })
    return exit
  }
}

const problemOf = ({ code, detail }: NonNullable<JobPlan['failure']>): Problem => ({
  code,
  message: `${failures[code].cause.replace(/\.$/, '')}: ${printable(detail)}`,
  remedy: remedyOf(code),
})

/** The code with which the job would end, as far as it can be known before. */
const exitOf = ({ failure }: JobPlan): ExitCode =>
  failure === undefined ? exitCodes.completed : failures[failure.code].by === 'network' ? exitCodes['no-node'] : exitCodes.failed
