import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { checkAs, type Problem as FileProblem, formatPath, limits, problems as problemKinds, readAs, suggestion, type UnplacedProblem } from '@skrei/job-spec'
import { CliError, cliError, exitCodes, type Problem, systemCode } from '../cli-errors.ts'
import { type ConfigLeaf, configLeaves, scalarOf } from './config-leaves.ts'
import { configSchema, type NodeConfig, resolveConfig } from './config-schema.ts'

/** What a flag says: the path of the setting, and its text, texts, or true for one that takes none. */
export interface ConfigFlag {
  /** As it is written, such as `--api-port`. */
  readonly flag: string
  readonly path: readonly string[]
  readonly value: string | readonly string[] | true
}

export interface ConfigSources {
  readonly home: string
  /** As given with --config; absent: `config.yaml` in the home, where there is one. */
  readonly file?: string | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly flags: readonly ConfigFlag[]
}

/** Variables that say something else. */
const otherVariables: ReadonlySet<string> = new Set(['SKREI_HOME', 'SKREI_NODE', 'SKREI_CONFIG'])

type Plain = Readonly<Record<string, unknown>>

interface Given {
  readonly path: readonly string[]
  /** Where it stands: a variable or a flag. */
  readonly origin: string
  readonly value: unknown
}

/**
 * The node's configuration: what the file says, over it the environment, over that the flags. Lists are replaced as a whole, of `labels` each one by itself. Throws a CliError with
 * everything that is wrong, each with its place: line and column, variable, or flag.
 */
export const readConfig = ({ home, file, environment, flags }: ConfigSources): NodeConfig => {
  const path = file ?? (environment['SKREI_CONFIG'] || undefined)
  const plain = readFile(path === undefined ? join(home, 'config.yaml') : resolve(path), path !== undefined)
  const [variables, options] = [[...fromEnvironment(environment)], [...fromFlags(flags)]]
  // Each by itself: what is wrong is told also where something else stands over it.
  const wrong = [variables, options].flatMap(problemsAlone)
  if (wrong.length > 0) throw refused(wrong)
  const given = [...variables, ...options]
  const merged = laidOver(plain, given)
  const checked = checkAs(configSchema, merged, { called: 'configuration' })
  if (!checked.ok) throw refused(checked.problems.map((problem) => placed(problem, given)))
  const config = resolveConfig(checked.value)
  requireSense(config, given)
  return config
}

const laidOver = (plain: Plain, given: readonly Given[]): Plain => given.reduce<Plain>((all, { path, value }) => set(all, path, value), plain)

const problemsAlone = (given: readonly Given[]): readonly Problem[] => {
  const checked = checkAs(configSchema, laidOver({}, given), { called: 'configuration' })
  return checked.ok ? [] : checked.problems.map((problem) => placed(problem, given))
}

const refused = (problems: readonly Problem[]): CliError => {
  const [first, ...rest] = problems
  if (first === undefined) throw new Error('a configuration was refused without a problem')
  return new CliError(exitCodes['bad-input'], [first, ...rest])
}

const remedyOf = (code: keyof typeof problemKinds): string => problemKinds[code].remedy.replace('a job file', 'it')

const readFile = (path: string, wanted: boolean): Plain => {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT' && !wanted) return {}
    throw cliError('config-unreadable', code === 'ENOENT' ? `there is no file ${path}` : `cannot read ${path}: ${code ?? String(error)}`, {
      cause: error,
      place: { file: path },
    })
  }
  const text = bytes.toString()
  if (!Buffer.from(text).equals(bytes)) throw cliError('config-unreadable', `${path} is not UTF-8`, { place: { file: path } })
  // One that only has comments says nothing, which is fine.
  if (text.length <= limits.bytes && text.split('\n').every((line) => /^\s*(#|$)/.test(line))) return {}
  const read = readAs(configSchema, text, { file: path, called: 'configuration file' })
  if (read.ok) return read.plain as Plain
  const more: readonly Problem[] = read.omitted === 0 ? [] : [{ code: 'config-invalid', message: `and ${read.omitted} more problems`, file: path }]
  throw refused([
    ...read.problems.map(({ code, message, file, line, column, path: where }: FileProblem) => ({
      code,
      message,
      file,
      line,
      column,
      path: where,
      remedy: remedyOf(code),
    })),
    ...more,
  ])
}

const fromEnvironment = function* (environment: Readonly<Record<string, string | undefined>>): Generator<Given> {
  const leaves = new Map(configLeaves.map((leaf) => [leaf.variable, leaf]))
  const unknown: Problem[] = []
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith('SKREI_') || text === undefined || otherVariables.has(variable)) continue
    const leaf = leaves.get(variable)
    if (leaf !== undefined) yield* textGiven(leaf, variable, leaf.kind === 'scalar' ? text : parts(text))
    else unknown.push(...misspelt(variable, [...leaves.keys(), ...otherVariables]))
  }
  if (unknown.length > 0) throw refused(unknown)
}

/** What is near to a variable of ours is a mistake. What is not may be somebody else's: a service called skrei in Kubernetes makes SKREI_SERVICE_HOST, and no node should fail of it. */
const misspelt = (variable: string, known: readonly string[]): readonly Problem[] => {
  const bare = (name: string): string => name.slice('SKREI_'.length)
  const meant = suggestion(bare(variable), known.map(bare))
  if (meant === undefined) return []
  return [{ code: 'unknown-key', message: `unknown variable ${variable} in the environment: did you mean SKREI_${meant}?`, remedy: remedyOf('unknown-key') }]
}

const fromFlags = function* (flags: readonly ConfigFlag[]): Generator<Given> {
  for (const { flag, path, value } of flags) {
    const leaf = configLeaves.find((candidate) => candidate.path.join('.') === path.join('.'))
    if (leaf === undefined) throw new Error(`${flag} sets ${path.join('.')}, which is no setting`)
    if (typeof value === 'boolean') yield { path, origin: flag, value }
    else yield* textGiven(leaf, flag, value)
  }
}

const parts = (text: string): readonly string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')

const textGiven = function* (leaf: ConfigLeaf, origin: string, value: string | readonly string[]): Generator<Given> {
  const texts = typeof value === 'string' ? [value] : value
  if (leaf.kind === 'scalar') yield { path: leaf.path, origin, value: scalarOf(leaf.schema, texts[0] ?? '') }
  else if (leaf.kind === 'list') yield { path: leaf.path, origin, value: texts }
  else
    for (const text of texts) {
      const equals = text.indexOf('=')
      if (equals < 1)
        throw cliError('config-invalid', `${origin}: found text ${JSON.stringify(text.slice(0, 60))}, expected a name and a value, such as zone=a`)
      yield { path: [...leaf.path, text.slice(0, equals)], origin, value: text.slice(equals + 1) }
    }
}

const set = (into: Plain, [key, ...rest]: readonly string[], value: unknown): Plain => {
  if (key === undefined) return into
  const inner = Object.hasOwn(into, key) ? into[key] : {}
  const next = rest.length === 0 ? value : set(inner as Plain, rest, value)
  // Not by assignment: a key may have any name.
  return Object.fromEntries([...Object.entries(into).filter(([name]) => name !== key), [key, next]])
}

/** Of what the file alone does not get wrong, a variable or a flag is the cause. */
const placed = ({ code, message, path }: UnplacedProblem, given: readonly Given[]): Problem => ({
  code,
  message: `${originOf(path, given)}: ${message}`,
  path: formatPath(path),
  remedy: remedyOf(code),
})

const originOf = (path: readonly PropertyKey[], given: readonly Given[]): string =>
  given.findLast((one) => one.path.every((part, index) => String(path[index]) === part))?.origin ?? 'the configuration'

const loopback = /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/

/** What a schema cannot say. */
const requireSense = ({ api, compute, engines, settings }: NodeConfig, given: readonly Given[]): void => {
  const at = (path: readonly string[]): string => {
    const origin = given.findLast((one) => one.path.join('.') === path.join('.'))?.origin
    return origin === undefined ? `\`${path.join('.')}\`` : `${origin} (\`${path.join('.')}\`)`
  }
  if (!loopback.test(api.host) && !api.insecure)
    throw cliError('api-exposed', `${at(['api', 'host'])}: ${api.host} is not a loopback address, and the API has no authentication yet`)
  if (compute && engines?.length === 0)
    throw cliError('config-invalid', `${at(['engines'])}: a node that computes needs an engine; take compute out of \`roles\` otherwise`)
  if (settings.heartbeat !== undefined && settings.lease !== undefined && settings.heartbeat >= settings.lease)
    throw cliError('config-invalid', `${at(['settings', 'heartbeat'])}: ${settings.heartbeat} ms must be less than \`settings.lease\`, ${settings.lease} ms`)
}
