import { printJob } from '@skrei/job-spec'
import { type ExitCode, exitCodes } from '../cli-errors.ts'
import { type DockerFlags, jobOfFlags } from '../job-of-flags.ts'
import { fail } from './fail.ts'
import type { RunOptions } from './run.ts'

export interface DockerOptions extends DockerFlags, RunOptions {
  readonly plan?: true
  readonly print?: true
}

/** `skrei docker`: a job made of flags, then what `skrei run` does with it; with --print the job file alone. Returns the exit code; whatever happens, it has been told. */
export const docker = async (image: string, command: readonly string[], options: DockerOptions): Promise<ExitCode> => {
  const read = async () => jobOfFlags({ image, command, flags: options, directory: process.cwd() })
  if (options.plan) return await (await import('./plan.ts')).plan(read, options)
  if (!options.print) return await (await import('./run.ts')).run(read, options)
  try {
    process.stdout.write(printJob((await read()).spec))
    return exitCodes.completed
  } catch (error) {
    return fail(error, false)
  }
}
