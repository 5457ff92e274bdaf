import { localSource } from '@skrei/storage/local'
import { CliError, cliError, type ExitCode } from '../cli-errors.ts'
import { interrupts } from '../interrupts.ts'
import { jobExit } from '../job-error.ts'
import { readJobFile } from '../job-file.ts'
import { checkLocalSources } from '../local-sources.ts'
import { takeResultDirectory } from '../result-directory.ts'
import { summary } from '../summary.ts'
import { fail } from './fail.ts'

export interface RunOptions {
  readonly output?: string
  readonly json?: true
  readonly allowPrivateAddresses?: true
}

/** `skrei run`: job file -> embedded node -> result directory. Returns the exit code; whatever happens, it has been told. */
export const run = async (file: string, options: RunOptions): Promise<ExitCode> => {
  const json = options.json === true
  using interrupt = interrupts()
  const startedAt = performance.now()
  let submitted: string | null = null
  try {
    const job = await readJobFile(file, { signal: interrupt.first })
    const local = localSource({ allow: [job.base], base: job.base })
    await checkLocalSources(job, local, { signal: interrupt.first })
    const output = options.output === undefined ? undefined : takeResultDirectory(options.output)
    try {
      // A job file that is wrong is told before a node is loaded.
      const { runEmbedded } = await import('../embedded-run.ts')
      const allowPrivateAddresses = options.allowPrivateAddresses === true
      const onSubmit = (jobId: string): void => {
        submitted = jobId
      }
      // Told last, when the node has stopped and its folder is gone.
      const { view, result } = await runEmbedded({ job, local, output, json, allowPrivateAddresses, interrupt, onSubmit })
      const people = json ? process.stderr : process.stdout
      people.write(`${summary(view, result, performance.now() - startedAt, people)}\n`)
      if (json) process.stdout.write(`${JSON.stringify(result)}\n`)
      return jobExit(view)
    } catch (error) {
      output?.undo()
      throw error
    }
  } catch (error) {
    const told = interrupt.first.aborted && !(error instanceof CliError) ? cliError('cancelled', 'interrupted', { cause: error }) : error
    return fail(told, json, submitted)
  }
}
