import type * as z from 'zod'
import { describe, type Finding, formatPath, type Path, type ProblemCode, problems, shorten } from './problem.ts'
import { suggestion } from './suggestion.ts'

type Issue = z.core.$ZodIssue

/** The keys that an object schema has, by the list of unknown keys in its issue: zod's issues do not carry them. */
export type KnownKeys = WeakMap<readonly string[], readonly string[]>

/** For `safeParse`: notes the known keys, and leaves the messages as they are. */
export const noteKnownKeys =
  (known: KnownKeys): z.core.$ZodErrorMap =>
  (issue) => {
    if (issue.code === 'unrecognized_keys') {
      const shape: unknown = (issue.inst as { _zod?: { def?: { shape?: unknown } } } | undefined)?._zod?.def?.shape
      if (typeof shape === 'object' && shape !== null) known.set(issue.keys, Object.keys(shape))
    }
    return undefined
  }

const types: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
}

const quoted = (values: readonly unknown[]): string => {
  const texts = values.map((value) => `\`${String(value)}\``)
  return texts.length > 1 ? `${texts.slice(0, -1).join(', ')} or ${texts.at(-1)}` : texts.join('')
}

const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>(
    (current, part) =>
      typeof current === 'object' && current !== null && Object.hasOwn(current, part) ? (current as Record<PropertyKey, unknown>)[part] : undefined,
    value,
  )

const stringOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

/** Where a finding stands, for its message. */
const where = (path: Path): string => (path.length === 0 ? 'the job file' : `\`${formatPath(path)}\``)

const mismatch = (code: ProblemCode, path: Path, value: unknown, expected: string, extra: Partial<Finding> = {}): Finding => {
  const found = extra.found ?? describe(value)
  const hint = extra.message ?? ''
  return { ...extra, code, path, found, expected, message: `${where(path)}: found ${found}, expected ${expected}${hint}` }
}

const missing = (path: Path, expected: string): Finding => {
  const key = String(path.at(-1))
  const parent = path.slice(0, -1)
  return {
    code: 'missing-key',
    path,
    expected,
    message: `${parent.length === 0 ? 'the job file' : where(parent)} has no \`${key}\`, which must be there: ${expected}`,
  }
}

const unknownKeys = function* (
  issue: Issue & { code: 'unrecognized_keys' },
  path: Path,
  value: unknown,
  known: KnownKeys,
  siblings: readonly string[],
): Generator<Finding> {
  const allowed = known.get(issue.keys) ?? []
  const absent = allowed.filter((key) => valueAt(value, [...path, key]) === undefined)
  for (const key of issue.keys) {
    const place = { path: [...path, key], at: 'key', found: shorten(key) } as const
    if (siblings.includes(key)) {
      const others = allowed.filter((other) => !siblings.includes(other) && valueAt(value, [...path, other]) !== undefined)
      yield {
        ...place,
        code: 'conflict',
        expected: `either \`${key}\` or ${quoted(others)}`,
        message: `${where(path)}: \`${key}\` does not go with ${quoted(others)}: they belong to different forms`,
      }
      continue
    }
    const meant = suggestion(key, absent)
    const expected = meant === undefined ? `one of ${quoted(allowed)}` : `\`${meant}\``
    yield {
      ...place,
      code: 'unknown-key',
      expected,
      message: `unknown key \`${shorten(key)}\` in ${where(path)}: ${meant === undefined ? `allowed are ${quoted(allowed)}` : `did you mean \`${meant}\`?`}`,
    }
  }
}

const wrongValue = (path: Path, value: unknown, values: readonly unknown[]): Finding => {
  const engine = formatPath(path) === 'engine.type'
  const text = stringOf(value)
  if (text === undefined) return value === undefined ? missing(path, quoted(values)) : mismatch('wrong-type', path, value, quoted(values))
  const meant = values.length > 1 ? suggestion(text, values.map(String)) : undefined
  if (meant !== undefined && values.length > 12)
    return mismatch('bad-value', path, value, `\`${meant}\`, or another of the ${values.length} values in the documentation`)
  const expected = engine ? `${quoted(values)}, or an extension's name with a slash, such as \`acme.dev/toy\`` : quoted(values)
  return mismatch(engine ? 'unknown-engine' : 'bad-value', path, value, expected, meant === undefined ? {} : { message: `; did you mean \`${meant}\`?` })
}

/**
 * The branch of a union that was meant: one whose kind fits the value, whose `type` is not the complaint, with the least to complain about.
 * Undefined if the value is of no branch's kind.
 */
const branchMeant = (branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined => {
  const rank = (issues: readonly Issue[]): number => {
    if (issues.some(({ code, path }) => code === 'invalid_type' && path.length === 0)) return Number.POSITIVE_INFINITY
    const mistyped = issues.some(({ path }) => path.length === 1 && path[0] === 'type')
    return (mistyped ? 1000 : 0) + issues.reduce((sum, issue) => sum + (issue.code === 'unrecognized_keys' ? issue.keys.length : 1), 0)
  }
  const [best] = branches.map((issues) => ({ issues, rank: rank(issues) })).toSorted((left, right) => left.rank - right.rank)
  return best && best.rank < Number.POSITIVE_INFINITY ? best.issues : undefined
}

/** Says what zod's issues mean to the author of a job file. `value` is what was validated. Lazy: only as many as are taken are made. */
export const explain = function* (
  issues: readonly Issue[],
  value: unknown,
  known: KnownKeys,
  base: Path = [],
  siblings: readonly string[] = [],
): Generator<Finding> {
  for (const issue of issues) {
    const path = [...base, ...issue.path]
    const found = valueAt(value, path)
    const said = issue.message.startsWith('expected ') ? issue.message.slice('expected '.length) : undefined
    switch (issue.code) {
      case 'unrecognized_keys':
        yield* unknownKeys(issue, path, value, known, siblings)
        break
      case 'invalid_type': {
        const expected = said ?? types[issue.expected] ?? issue.expected
        if (found === undefined && path.length > 0) yield missing(path, `expected ${expected}`)
        else if (typeof found === 'number' && expected.startsWith('a duration '))
          yield mismatch('bad-duration', path, found, expected, { message: `; its unit is missing: \`${found}s\` are seconds` })
        else yield mismatch('wrong-type', path, found, expected)
        break
      }
      case 'invalid_value':
        yield wrongValue(path, found, issue.values)
        break
      case 'invalid_union': {
        if (issue.errors.length === 0 && 'options' in issue && Array.isArray(issue.options)) {
          yield wrongValue(path, found, issue.options)
          break
        }
        const branch = branchMeant(issue.errors)
        if (branch === undefined) {
          if (found === undefined) yield missing(path, `expected ${said ?? 'a value'}`)
          else yield mismatch('wrong-type', path, found, said ?? 'another kind of value')
          break
        }
        const others = issue.errors
          .filter((errors) => errors !== branch)
          .flatMap((errors) => errors.flatMap((error) => (error.code === 'unrecognized_keys' ? (known.get(error.keys) ?? []) : [])))
        yield* explain(branch, value, known, path, others)
        break
      }
      case 'too_big':
        yield mismatch(
          'bad-value',
          path,
          found,
          `${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}${unitOf(issue.origin, issue.maximum)}`,
          sizeOf(found),
        )
        break
      case 'too_small':
        yield mismatch(
          'bad-value',
          path,
          found,
          `${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${unitOf(issue.origin, issue.minimum)}`,
          sizeOf(found),
        )
        break
      case 'invalid_key':
        yield* keyProblems(issue, path)
        break
      case 'custom': {
        const params = (issue.params ?? {}) as { code?: ProblemCode; found?: string; note?: string; offset?: number }
        const code = params.code !== undefined && Object.hasOwn(problems, params.code) ? params.code : 'bad-value'
        const note = params.note === undefined ? undefined : `${describe(found)}, ${params.note}`
        const extra = {
          ...((params.found ?? note) !== undefined && { found: params.found ?? note ?? '' }),
          ...(params.offset !== undefined && { within: params.offset }),
        }
        if (said !== undefined) yield mismatch(code, path, found, said, extra)
        else yield { ...extra, code, path, message: `${where(path)}: ${issue.message}` }
        break
      }
      default:
        yield mismatch('bad-value', path, found, said ?? 'another value')
    }
  }
}

const keyProblems = function* (issue: Issue & { code: 'invalid_key' }, path: Path): Generator<Finding> {
  const key = String(path.at(-1))
  const [first] = issue.issues
  const expected = first?.message.startsWith('expected ')
    ? first.message.slice('expected '.length)
    : first?.code === 'too_big'
      ? `at most ${first.maximum} characters`
      : 'another key'
  yield {
    code: 'bad-value',
    path,
    at: 'key',
    found: shorten(key),
    expected,
    message: `${where(path.slice(0, -1))}: found the key \`${shorten(key)}\`, expected ${expected}`,
  }
}

const unitOf = (origin: string, count: number | bigint): string =>
  origin === 'string' ? ` character${Number(count) === 1 ? '' : 's'}` : origin === 'array' ? (Number(count) === 1 ? ' entry' : ' entries') : ''
const sizeOf = (value: unknown): Partial<Finding> =>
  typeof value === 'string' && value.length > 60
    ? { found: `${value.length} characters` }
    : Array.isArray(value)
      ? { found: `${value.length}${unitOf('array', value.length)}` }
      : {}
