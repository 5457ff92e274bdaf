import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { styleText } from 'node:util'
import { asCalled } from '../called-as.ts'
import { CliError, type ExitCode, exitCodes, type Problem, problem } from '../cli-errors.ts'
import { homePath } from '../home-path.ts'
import type { ResultEvent } from '../job-events.ts'
import { makeDirectory } from '../make-directory.ts'
import { oneLine } from '../printable.ts'

/** Tells what ended a command, for people and, with --json, for scripts; never a stack trace. Returns the exit code. */
export const fail = (error: unknown, json: boolean, jobId: string | null = null): ExitCode => {
  const { exit, problems } = error instanceof CliError ? error : internal(error, undefined)
  for (const one of problems) process.stderr.write(`${problemText(one)}\n`)
  if (json) process.stdout.write(`${JSON.stringify(resultOf(problems, jobId))}\n`)
  return exit
}

const resultOf = (problems: readonly [Problem, ...Problem[]], jobId: string | null): ResultEvent => ({
  type: 'result',
  jobId,
  state: null,
  results: { cid: null, path: null },
  error: { ...problems[0], ...(problems.length > 1 && { problems }) },
})

/** A fault of the program itself: one line, and where the log lies. */
export const internal = (error: unknown, log: string | undefined): CliError => {
  const message = error instanceof Error ? error.message : String(error)
  const where = log ?? writeLog(error)
  return new CliError(exitCodes.failed, [problem('internal', `${message}${where === undefined ? '' : `; log: ${where}`}`)], { cause: error })
}

const writeLog = (error: unknown): string | undefined => {
  try {
    const folder = join(homePath(), 'logs')
    makeDirectory(folder, 0o700)
    const file = join(folder, `${Date.now().toString(36)}-${process.pid}.log`)
    writeFileSync(file, `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
    return file
  } catch {
    return undefined
  }
}

/** `job.yaml:3:9: unknown-engine: …` or `--memory: bad-quantity: …`, and below it what to do. */
export const problemText = ({ code, message, flag, file, line, column, remedy }: Problem, level: 'error' | 'warning' = 'error'): string => {
  const stream = process.stderr
  const place =
    file === undefined
      ? flag === undefined
        ? ''
        : `${flag}: `
      : `${oneLine(file)}${line === undefined ? '' : `:${line}`}${column === undefined ? '' : `:${column}`}: `
  const head = `${styleText(level === 'error' ? 'red' : 'yellow', level, { stream })} ${place}${styleText('bold', oneLine(code), { stream })}: ${oneLine(message)}`
  return remedy === undefined ? head : `${head}\n  ${styleText('dim', `→ ${oneLine(asCalled(remedy))}`, { stream })}`
}
