import { limits, type Places } from './document.ts'
import { type JobSpec, jobSchema } from './job.ts'
import { type NotBuilt, notBuilt } from './not-built.ts'
import { formatPath, type Problem } from './problem.ts'
import { readAs } from './read-as.ts'

export interface ReadOptions {
  /** The file's name, for messages; one that ends in `.json` is read as JSON. */
  readonly file: string
  readonly format?: 'yaml' | 'json'
  /** What this reader's host does not do: {@link notBuilt} of this package, unless told otherwise. */
  readonly notBuilt?: (spec: JobSpec) => readonly NotBuilt[]
}

export type ReadResult =
  | { readonly ok: true; readonly spec: JobSpec; readonly places: Places }
  | {
      readonly ok: false
      /** In the order of the file; never empty. */
      readonly problems: readonly Problem[]
      /** How many more were seen: the list ends at {@link limits}.problems, and reading soon after it. */
      readonly omitted: number
    }

/**
 * Reads a job file. Never throws on what the text holds: it comes back as a spec, or as everything that is wrong with it, each with its place.
 * JSON is read as the subset of YAML that it is.
 *
 * @example
 * const result = readJob(text, { file: 'job.yaml' })
 * if (!result.ok) for (const { code, line, message } of result.problems) report(code, line, message)
 */
export const readJob = (text: string, options: ReadOptions): ReadResult => {
  const result = readAs(jobSchema, text, {
    file: options.file,
    ...(options.format && { format: options.format }),
    further: (spec) =>
      (options.notBuilt ?? notBuilt)(spec).map(({ path, reason }) => ({
        code: 'not-built',
        path,
        at: 'key',
        message: `\`${formatPath(path)}\` is not built yet: ${reason}`,
      })),
  })
  return result.ok ? { ok: true, spec: result.value, places: result.places } : result
}

export { limits }
