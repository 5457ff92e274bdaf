/** What is wrong with a job file, in general, and what to do about it: the source of the documentation's table. */
export interface ProblemKind {
  readonly cause: string
  readonly remedy: string
}

/** Everything that {@link readJob} reports: the closed list. */
export const problems = {
  'too-large': {
    cause: 'The job file is larger than 1 MiB, or made of more pieces than a job needs.',
    remedy: 'Put data into a source (ipfs, https, local) and name it in the job file.',
  },
  'too-deep': { cause: 'Lists and mappings are nested deeper than 64 levels.', remedy: 'Nest less deeply; a job file needs fewer than ten levels.' },
  'too-many-aliases': { cause: 'YAML aliases stand for too much text.', remedy: 'Write the values out, or use fewer aliases.' },
  'yaml-syntax': { cause: 'The file is not YAML.', remedy: 'Correct the place that the message names: mostly an indentation, a quote or a bracket.' },
  'json-syntax': { cause: 'The file is not JSON.', remedy: 'Correct the place that the message names: mostly a comma, a quote or a bracket.' },
  'yaml-unsupported': {
    cause: 'The file uses a part of YAML that job files do not have: tags, directives, merge keys, several documents, keys that are not text.',
    remedy: 'Write it without that; each job is one file.',
  },
  'duplicate-key': { cause: 'A key stands twice in one mapping.', remedy: 'Remove one of the two.' },
  'unknown-key': {
    cause: 'A key is not one of those that are allowed in its place.',
    remedy: 'Correct its spelling, or remove it; nothing in a job file is ignored.',
  },
  'missing-key': { cause: 'A key that must be there is not.', remedy: 'Add it.' },
  'wrong-type': {
    cause: 'A value is of the wrong kind, such as a number where a list belongs.',
    remedy: 'Write what the message expects; put text that looks like a number into quotes.',
  },
  'bad-value': { cause: 'A value is of the right kind but not one that is allowed.', remedy: 'Write what the message expects.' },
  'bad-quantity': {
    cause: 'A quantity of CPU or bytes is malformed, negative, too exact or too large.',
    remedy: 'Write it as in Kubernetes: 500m, 0.5, 512Mi, 1Gi.',
  },
  'bad-duration': { cause: 'A duration is malformed, 0 or too long.', remedy: 'Write it with units: 500ms, 90s, 1h30m.' },
  'bad-selector': { cause: 'A constraint is not a label selector.', remedy: 'Write it as in Kubernetes: region in (eu, us), !spot, tier=gold.' },
  'bad-glob': {
    cause: 'A file pattern is malformed.',
    remedy: 'Write patterns such as *.csv, **/*.json or part-[0-9]*.{csv,tsv}; a backslash takes the next character as it is.',
  },
  'bad-path': {
    cause: 'A path is not of the form that its field needs, or escapes its directory.',
    remedy: 'Inside the sandbox write absolute paths such as /inputs, without "." and ".."; keep relative paths below their directory.',
  },
  'unknown-engine': {
    cause: 'The engine is none of those that are built in.',
    remedy: 'Use wasm, docker or noop; an engine of your own has a name with a slash, such as acme.dev/toy.',
  },
  conflict: { cause: 'Two fields do not go together.', remedy: 'Change or remove one of the two.' },
  'not-built': { cause: 'The field is part of the format, but this release does not do what it says.', remedy: 'Remove it, or use a release that has it.' },
} as const satisfies Readonly<Record<string, ProblemKind>>

export type ProblemCode = keyof typeof problems

/** One thing that is wrong with a job file. `line` and `column` count from 1, `column` in UTF-16 units; `path` is like `inputs[0].source.url`, empty for the whole file. */
export interface Problem {
  readonly code: ProblemCode
  /** What was found, where, and what would be right. */
  readonly message: string
  readonly file: string
  readonly line: number
  readonly column: number
  readonly path: string
  readonly found?: string
  readonly expected?: string
}

export type Path = readonly PropertyKey[]

/** A problem before its place is looked up: by `offset` in the text, or by `path` in the document. */
export interface Finding {
  readonly code: ProblemCode
  readonly message: string
  readonly path: Path
  /** Offset in the text, where the path does not say it. */
  readonly offset?: number
  /** Points at the key instead of the value. */
  readonly at?: 'key'
  /** Offset inside the text of the scalar at `path`. */
  readonly within?: number
  readonly found?: string
  readonly expected?: string
}

/** `inputs[0].source.url`; keys that are not plain words are quoted: `env["a b"]`. */
export const formatPath = (path: Path): string =>
  path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`
    const key = String(part)
    if (!/^[A-Za-z_][\w-]{0,59}$/.test(key)) return `${text}[${JSON.stringify(shorten(key))}]`
    return text === '' ? key : `${text}.${key}`
  }, '')

/** At most 60 characters of a text that somebody else wrote. */
export const shorten = (text: string): string => (text.length > 60 ? `${text.slice(0, 57).toWellFormed()}...` : text.toWellFormed())

/** A value in a few words, for a message. */
export const describe = (value: unknown): string => {
  if (value === undefined) return 'nothing'
  if (value === null) return 'nothing (null)'
  if (typeof value === 'string') return `text ${JSON.stringify(shorten(value))}`
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (typeof value === 'object') return 'a mapping'
  return `${typeof value} ${shorten(String(value))}`
}
