import { LineCounter } from 'yaml'
import { type Findings, limits, type Places, readDocument, report } from './document.ts'
import { explain, type KnownKeys, noteKnownKeys } from './explain.ts'
import { type JobSpec, jobSchema } from './job.ts'
import { type NotBuilt, notBuilt } from './not-built.ts'
import { type Finding, formatPath, type Problem } from './problem.ts'

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
  const lines = new LineCounter()
  const findings: Findings = { list: [], total: 0 }
  const format = options.format ?? (options.file.toLowerCase().endsWith('.json') ? 'json' : 'yaml')
  const document = readDocument(text, format, lines, findings)
  const placeAt = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  const refused = (): ReadResult => {
    const offsetOf = (finding: Finding): number => document?.offsetOf(finding) ?? finding.offset ?? 0
    const problems = findings.list
      .map((finding) => ({ finding, offset: offsetOf(finding) }))
      .toSorted((left, right) => left.offset - right.offset)
      .map(({ finding: { code, message, path, found, expected }, offset }) => ({
        code,
        message,
        file: options.file,
        ...placeAt(offset),
        path: formatPath(path),
        ...(found !== undefined && { found }),
        ...(expected !== undefined && { expected }),
      }))
    return { ok: false, problems, omitted: findings.total - findings.list.length }
  }
  if (document === undefined) return refused()

  const unread = findings.list.map(({ path }) => formatPath(path))
  const known: KnownKeys = new WeakMap()
  const parsed = jobSchema.safeParse(document.value, { error: noteKnownKeys(known) })
  if (!parsed.success) {
    for (const finding of explain(parsed.error.issues, document.value, known)) {
      // What could not be read has been reported, and is not missing.
      if (!unread.includes(formatPath(finding.path))) report(findings, finding)
    }
  } else if (findings.total === 0) {
    for (const { path, reason } of (options.notBuilt ?? notBuilt)(parsed.data)) {
      report(findings, { code: 'not-built', path, at: 'key', message: `\`${formatPath(path)}\` is not built yet: ${reason}` })
    }
  }
  if (findings.total > 0 || !parsed.success) return refused()
  return { ok: true, spec: parsed.data, places: (path, at) => placeAt(document.offsetOf({ path, ...(at && { at }) })) }
}

export { limits }
