import { specCid } from '@skrei/job-spec'
import { CliError, type ExitCode, exitCodes, type Problem } from '../cli-errors.ts'
import { nameOf, readJobFile } from '../job-file.ts'
import { problemText } from './fail.ts'

/** `skrei validate`: everything that `skrei run` would refuse each file for, and why this node could not run it; nothing is run, and no source but local ones is looked at. */
export const validate = async (files: readonly string[], options: { readonly json?: true }): Promise<ExitCode> => {
  let exit: ExitCode = 0
  const all: Problem[] = []
  for (const file of files) {
    try {
      const job = await readJobFile(file)
      // A job file that is wrong is told before the scheduler is loaded.
      const { checkRunnable } = await import('../job-check.ts')
      const warnings = await checkRunnable(job)
      const cid = specCid(job.spec)
      for (const warning of warnings) process.stderr.write(`${problemText(warning, 'warning')}\n`)
      if (options.json) write({ type: 'file', file: nameOf(file), valid: true, specCid: cid, problems: [], warnings })
      else process.stdout.write(`${nameOf(file)}: valid, ${cid}\n`)
    } catch (error) {
      if (!(error instanceof CliError)) throw error
      // Of several, a file that is wrong anywhere weighs more than one that only needs more nodes.
      if (exit !== exitCodes['bad-input']) exit = error.exit
      all.push(...error.problems)
      for (const problem of error.problems) process.stderr.write(`${problemText(problem)}\n`)
      if (options.json) write({ type: 'file', file, valid: false, specCid: null, problems: error.problems, warnings: [] })
    }
  }
  const [first] = all
  if (options.json) {
    const error = first === undefined ? null : { ...first, ...(all.length > 1 && { problems: all }) }
    write({ type: 'result', jobId: null, state: null, results: { cid: null, path: null }, error })
  }
  return exit
}

const write = (event: Readonly<Record<string, unknown>>): void => void process.stdout.write(`${JSON.stringify(event)}\n`)
