import { LineCounter } from 'yaml'
import type * as z from 'zod'
import { type Findings, type Places, readDocument, report } from './document.ts'
import { exactJson } from './exact-json.ts'
import { explain, type KnownKeys, noteKnownKeys } from './explain.ts'
import { type Finding, formatPath, type Path, type Problem, type ProblemCode } from './problem.ts'

export interface ReadAsOptions<T> {
  /** The file's name, for messages; one that ends in `.json` is read as JSON. */
  readonly file: string
  readonly format?: 'yaml' | 'json'
  /** What such a file is called in messages. Default `job file`. */
  readonly called?: string
  /** What else is wrong with a value that the schema takes. */
  readonly further?: (value: T) => readonly Finding[]
}

export type ReadAsResult<T> =
  | {
      readonly ok: true
      readonly value: T
      /** As it stands in the file, before the schema made something of it. */
      readonly plain: unknown
      readonly places: Places
    }
  | {
      readonly ok: false
      /** In the order of the file; never empty. */
      readonly problems: readonly Problem[]
      /** How many more were seen: the list ends at `limits.problems`, and reading soon after it. */
      readonly omitted: number
    }

/**
 * Reads a text, YAML or JSON, as what a schema says. Never throws on what the text holds: it comes back as a value, or as everything that is wrong with it, each with its place.
 *
 * @example
 * const result = readAs(z.strictObject({ port: z.int() }), 'prot: 1', { file: 'node.yaml', called: 'configuration file' })
 */
export const readAs = <Schema extends z.ZodType>(schema: Schema, text: string, options: ReadAsOptions<z.output<Schema>>): ReadAsResult<z.output<Schema>> => {
  const format = options.format ?? (options.file.toLowerCase().endsWith('.json') ? 'json' : 'yaml')
  return (format === 'json' ? readExact(schema, text, options) : undefined) ?? readPlaced(schema, text, format, options)
}

/** What a program has written, where nothing is wrong with it: places are looked up only when somebody asks. */
const readExact = <Schema extends z.ZodType>(
  schema: Schema,
  text: string,
  options: ReadAsOptions<z.output<Schema>>,
): ReadAsResult<z.output<Schema>> | undefined => {
  const exact = exactJson(text)
  const parsed = exact && schema.safeParse(exact.value)
  if (!parsed?.success || (options.further?.(parsed.data).length ?? 0) > 0) return undefined
  let placed: ReadAsResult<z.output<Schema>> | undefined
  const places: Places = (path, at) => {
    placed ??= readPlaced(schema, text, 'json', options)
    return placed.ok ? placed.places(path, at) : { line: 1, column: 1 }
  }
  return { ok: true, value: parsed.data, plain: exact?.value, places }
}

const readPlaced = <Schema extends z.ZodType>(
  schema: Schema,
  text: string,
  format: 'yaml' | 'json',
  options: ReadAsOptions<z.output<Schema>>,
): ReadAsResult<z.output<Schema>> => {
  const lines = new LineCounter()
  const findings: Findings = { list: [], total: 0 }
  const document = readDocument(text, format, lines, findings)
  const placeAt = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  const refused = (): ReadAsResult<z.output<Schema>> => {
    const offsetOf = (finding: Finding): number => document?.offsetOf(finding) ?? finding.offset ?? 0
    const problems = findings.list
      .map((finding) => ({ finding, offset: offsetOf(finding) }))
      .toSorted((left, right) => left.offset - right.offset)
      .map(({ finding: { code, message, path, found, expected }, offset }) => ({
        code,
        message: called(message, options.called),
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
  const parsed = schema.safeParse(document.value, { error: noteKnownKeys(known) })
  if (!parsed.success) {
    for (const finding of explain(parsed.error.issues, document.value, known)) {
      // What could not be read has been reported, and is not missing.
      if (!unread.includes(formatPath(finding.path))) report(findings, finding)
    }
  } else if (findings.total === 0) for (const finding of options.further?.(parsed.data) ?? []) report(findings, finding)
  if (findings.total > 0 || !parsed.success) return refused()
  return { ok: true, value: parsed.data, plain: document.value, places: (path, at) => placeAt(document.offsetOf({ path, ...(at && { at }) })) }
}

export interface UnplacedProblem {
  readonly code: ProblemCode
  readonly message: string
  readonly path: Path
}

export type CheckedAs<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problems: readonly UnplacedProblem[] }

/** The same for a value that stands in no file: everything that is wrong with it, up to a hundred things. */
export const checkAs = <Schema extends z.ZodType>(schema: Schema, value: unknown, options: { readonly called?: string } = {}): CheckedAs<z.output<Schema>> => {
  const known: KnownKeys = new WeakMap()
  const parsed = schema.safeParse(value, { error: noteKnownKeys(known) })
  if (parsed.success) return { ok: true, value: parsed.data }
  const problems = explain(parsed.error.issues, value, known)
    .take(100)
    .map(({ code, message, path }) => ({ code, message: called(message, options.called), path }))
  return { ok: false, problems: [...problems] }
}

/** Messages are written for job files: what is not one is called by its own name. */
const called = (message: string, name: string | undefined): string => (name === undefined ? message : message.replace(/\bjob file/, name))
