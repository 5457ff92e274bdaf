import { CliError, type ExitCode, exitCodes, type Problem } from '../cli-errors.ts'
import type { JobFile } from '../job-file.ts'

/** What an ApiError says, wherever it comes from: branch on `code`. */
interface ApiFailure extends Error {
  readonly code: string
  readonly status: number
  readonly remedy?: string
  readonly file?: string
  readonly line?: number
  readonly column?: number
  readonly path?: string
  readonly problems?: readonly Problem[]
}

const isApiFailure = (error: unknown): error is ApiFailure => error instanceof Error && error.name === 'ApiError' && 'code' in error && 'status' in error

/** These are no fault of what was asked. */
const failedCodes: ReadonlySet<string> = new Set(['result-not-there', 'logs-gone', 'file-not-found'])

const exitOf = ({ code, status }: ApiFailure): ExitCode => {
  if (code === 'not-enough-nodes') return exitCodes['no-node']
  return (status === 501 || (status >= 400 && status < 500)) && !failedCodes.has(code) ? exitCodes['bad-input'] : exitCodes.failed
}

/** An error of the API as the command line tells it; with the job file that it is about, at its place there. What is no such error is returned as it is. */
export const told = (error: unknown, job?: JobFile): unknown => {
  if (!isApiFailure(error)) return error
  const [first, ...rest] = error.problems !== undefined && error.problems.length > 0 ? error.problems : [problemOf(error)]
  const place = (problem: Problem): Problem => placed(problem, job)
  return new CliError(exitOf(error), [place(first ?? problemOf(error)), ...rest.map(place)], { cause: error })
}

const problemOf = ({ code, message, remedy, file, line, column, path }: ApiFailure): Problem => ({
  code,
  message,
  ...(remedy !== undefined && { remedy }),
  ...(file !== undefined && { file }),
  ...(line !== undefined && { line }),
  ...(column !== undefined && { column }),
  ...(path !== undefined && { path }),
})

/** What was sent is not the text of the file: the field says where in the file it stands. */
const placed = (problem: Problem, job: JobFile | undefined): Problem => {
  if (job === undefined || problem.path === undefined) return problem
  const { line: _line, column: _column, file: _file, ...rest } = problem
  return { ...rest, ...job.placeOf(segmentsOf(problem.path)) }
}

/** `inputs[0].source.url` -> its parts. */
export const segmentsOf = (path: string): readonly (string | number)[] =>
  [...path.matchAll(/\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|([^.[\]]+)/g)].map(([, index, quoted, name]) =>
    index === undefined ? (name ?? (JSON.parse(`"${quoted ?? ''}"`) as string)) : Number(index),
  )
