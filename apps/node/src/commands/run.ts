import { commandLine } from '../called-as.ts'
import { CliError, cliError, type ExitCode, interruptedError } from '../cli-errors.ts'
import { interrupts } from '../interrupts.ts'
import { jobExit } from '../job-error.ts'
import type { ReadJob } from '../job-file.ts'
import { checkLocalSources, localSourceOf } from '../local-sources.ts'
import type { NodeOption } from '../remote/connect.ts'
import { jobCommand } from '../remote/job-command.ts'
import type { RemoteOutcome, RemoteRun } from '../remote/remote-run.ts'
import { takeResultDirectory } from '../result-directory.ts'
import { summary } from '../summary.ts'
import { fail } from './fail.ts'

export interface RunOptions {
  readonly output?: string
  readonly json?: true
  readonly allowPrivateAddresses?: true
  /** The API of a node; absent: a node in this process. */
  readonly node?: string
}

/** `skrei run`: job -> node, in this process or another -> result directory. Returns the exit code; whatever happens, it has been told. */
export const run = async (read: ReadJob, options: RunOptions): Promise<ExitCode> => {
  const json = options.json === true
  using interrupt = interrupts()
  const startedAt = performance.now()
  let submitted: string | null = null
  try {
    const job = await read({ signal: interrupt.first })
    const local = localSourceOf(job)
    await checkLocalSources(job, local, { signal: interrupt.first })
    const output = options.output === undefined ? undefined : takeResultDirectory(options.output)
    const onSubmit = (jobId: string): void => {
      submitted = jobId
    }
    try {
      // A job file that is wrong is told before a node is loaded.
      const allowPrivateAddresses = options.allowPrivateAddresses === true
      const given = { job, local, output, json, interrupt, onSubmit }
      const { view, result } =
        options.node === undefined
          ? await (await import('../embedded-run.ts')).runEmbedded({ ...given, allowPrivateAddresses })
          : await runOn({ node: options.node }, given)
      // Told last, when the node has stopped and its folder is gone.
      const again = options.node === undefined ? (cid: string) => commandLine(`get ${cid} DIR`) : () => jobCommand(`results ${view.id} --output DIR`, options)
      const people = json ? process.stderr : process.stdout
      people.write(`${summary(view, result, performance.now() - startedAt, people, again)}\n`)
      if (json) process.stdout.write(`${JSON.stringify(result)}\n`)
      return jobExit(view)
    } catch (error) {
      output?.undo()
      throw error
    }
  } catch (error) {
    if (!interrupt.first.aborted || error instanceof CliError) return fail(error, json, submitted)
    if (options.node === undefined || submitted === null) return fail(cliError('cancelled', 'interrupted', { cause: error }), json, submitted)
    const what = `interrupted: job ${submitted} was told to stop, and is left to its node`
    return fail(interruptedError(what, `See its end: ${jobCommand(`wait ${submitted}`, options)}`, error), json, submitted)
  }
}

const runOn = async (option: NodeOption, given: Omit<RemoteRun, 'connect'>): Promise<RemoteOutcome> => {
  const [{ connect }, { runRemote }, { leftJob, told }] = await Promise.all([
    import('../remote/connect.ts'),
    import('../remote/remote-run.ts'),
    import('../remote/api-failure.ts'),
  ])
  let accepted: string | undefined
  const onSubmit = (jobId: string): void => {
    accepted = jobId
    given.onSubmit(jobId)
  }
  try {
    return await runRemote({ ...given, onSubmit, connect: (tell) => connect(option, tell) })
  } catch (error) {
    throw told(accepted === undefined ? error : leftJob(error, accepted, jobCommand(`wait ${accepted}`, option)))
  }
}
