import { specCid } from '@skrei/job-spec'
import { CliError, type ExitCode, type Problem } from '../cli-errors.ts'
import { readJobFile } from '../job-file.ts'
import { problemText } from './fail.ts'

/** `skrei validate`: everything that is wrong with each file; nothing is run and no source is looked at. */
export const validate = async (files: readonly string[], options: { readonly json?: true }): Promise<ExitCode> => {
  let exit: ExitCode = 0
  const all: Problem[] = []
  for (const file of files) {
    try {
      const { name, spec } = await readJobFile(file)
      const cid = specCid(spec)
      if (options.json) write({ type: 'file', file: name, valid: true, specCid: cid, problems: [] })
      else process.stdout.write(`${name}: valid, ${cid}\n`)
    } catch (error) {
      if (!(error instanceof CliError)) throw error
      exit = error.exit
      all.push(...error.problems)
      for (const problem of error.problems) process.stderr.write(`${problemText(problem)}\n`)
      if (options.json) write({ type: 'file', file, valid: false, specCid: null, problems: error.problems })
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
