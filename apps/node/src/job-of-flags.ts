import { existsSync } from 'node:fs'
import { dirname, isAbsolute, relative, resolve } from 'node:path'
import { formatDuration, type Path, parseDuration, problems as problemKinds, readJob } from '@skrei/job-spec'
import { CliError, cliError, exitCodes, type Problem } from './cli-errors.ts'
import type { JobFile } from './job-file.ts'
import { segmentsOf } from './remote/api-failure.ts'

/** What `skrei docker` can say of a job, as it is typed. */
export interface DockerFlags {
  readonly input?: readonly string[]
  readonly outputPath?: readonly string[]
  readonly env?: readonly string[]
  readonly cpu?: string
  readonly memory?: string
  readonly disk?: string
  readonly gpu?: string
  readonly network?: string
  readonly domain?: readonly string[]
  readonly entrypoint?: string
  readonly workdir?: string
  readonly user?: string
  readonly pull?: string
  readonly timeout?: string
  readonly publisher?: string
  readonly name?: string
}

export interface DockerCommand {
  readonly image: string
  readonly command: readonly string[]
  readonly flags: DockerFlags
  /** Absolute: what paths are relative to. */
  readonly directory: string
}

/** Which flag says what a part of the job says; the first that fits. */
const origins: readonly (readonly [path: string, flag: string])[] = [
  ['engine.args', 'COMMAND'],
  ['engine.entrypoint', '--entrypoint'],
  ['engine.workingDirectory', '--workdir'],
  ['engine.user', '--user'],
  ['engine.pull', '--pull'],
  ['engine', 'IMAGE'],
  ['inputs', '--input'],
  ['outputs', '--output-path'],
  ['env', '--env'],
  ['resources.cpu', '--cpu'],
  ['resources.memory', '--memory'],
  ['resources.disk', '--disk'],
  ['resources.gpu', '--gpu'],
  ['network.domains', '--domain'],
  ['network', '--network'],
  ['timeouts', '--timeout'],
  ['publisher', '--publisher'],
  ['name', '--name'],
]

const placeOf = (path: Path): { readonly flag?: string } => {
  const flag = origins.find(([origin]) => origin.split('.').every((part, index) => path[index] === part))?.[1]
  return flag === undefined ? {} : { flag }
}

/** The job that an image, a command and flags make, checked as a job file is. Throws a CliError with everything that is wrong, each with its flag. */
export const jobOfFlags = ({ image, command, flags, directory }: DockerCommand): JobFile => {
  const sources = (flags.input ?? []).map((text) => sourceOf(text, directory))
  const { cpu, memory, disk, gpu } = flags
  const file = defined({
    apiVersion: 'skrei/v1',
    name: flags.name,
    engine: defined({
      type: 'docker',
      image,
      entrypoint: flags.entrypoint === undefined ? undefined : [flags.entrypoint],
      args: command.length === 0 ? undefined : command,
      workingDirectory: flags.workdir,
      user: flags.user,
      pull: flags.pull,
    }),
    inputs: sources.length === 0 ? undefined : sources.map(({ source, at }) => ({ source, path: at })),
    outputs: (flags.outputPath ?? ['/outputs']).map((path) => ({ name: outputName(path), path })),
    publisher: flags.publisher === undefined ? undefined : { type: flags.publisher },
    resources: orAbsent(defined({ cpu, memory, disk, gpu: gpu !== undefined && /^\d{1,9}$/.test(gpu) ? Number(gpu) : gpu })),
    timeouts: flags.timeout === undefined ? undefined : timeouts(flags.timeout),
    env: flags.env === undefined ? undefined : environment(flags.env),
    network: network(flags),
  })
  // As text: then a file of it is taken wherever a job file is.
  const result = readJob(JSON.stringify(file), { file: 'flags', format: 'json' })
  if (!result.ok) throw refused(result)
  return { base: directory, allow: sources.flatMap(({ allow }) => allow ?? []), spec: result.spec, placeOf }
}

const refused = ({ problems, omitted }: Extract<ReturnType<typeof readJob>, { readonly ok: false }>): CliError => {
  const [first, ...rest] = problems.map(
    ({ code, message, path }): Problem => ({ code, message, ...placeOf(segmentsOf(path)), path, remedy: problemKinds[code].remedy }),
  )
  if (first === undefined) throw new Error('flags were refused without a problem')
  const more: readonly Problem[] = omitted === 0 ? [] : [{ code: first.code, message: `and ${omitted} more problems` }]
  return new CliError(exitCodes['bad-input'], [first, ...rest, ...more])
}

const defined = (fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

const orAbsent = (fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> | undefined =>
  Object.keys(fields).length === 0 ? undefined : fields

interface Input {
  readonly source: Readonly<Record<string, string>>
  readonly at: string
  /** What is read of this machine. */
  readonly allow?: string
}

const cid = /^(Qm[1-9A-HJ-NP-Za-km-z]{44}|b[a-z2-7]{50,}|k[0-9a-z]{50,}|z[1-9A-HJ-NP-Za-km-z]{45,})$/

/** `PATH:/at`, `URL:/at` or `CID:/at`; the last `:/` that is not the one of `https://`. A file that is called like a CID is named `./bafy…`. */
const sourceOf = (text: string, directory: string): Input => {
  const [, from = text, at = '/inputs'] = /^(.+):(\/(?!\/).*)$/s.exec(text) ?? []
  if (/^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(from)) return { source: { type: 'https', url: from }, at }
  if (cid.test(from)) return { source: { type: 'ipfs', cid: from }, at }
  if (from === '')
    throw cliError('usage', 'an input is PATH, URL or CID, and may end with :/ and where it lies, as in data.csv:/inputs', { place: { flag: '--input' } })
  const path = resolve(directory, from)
  const below = relative(directory, path)
  const outside = isAbsolute(from) || below === '..' || below.startsWith('../')
  // Who types a path lets it be read, wherever it lies. Of what is not there its directory: then that is what is said.
  return { source: { type: 'local', path: outside ? path : below || '.' }, at, allow: existsSync(path) ? path : dirname(path) }
}

/** `/outputs` -> `outputs`, `/data/out put` -> `data-out_put`. */
const outputName = (path: string): string =>
  path
    .replace(/^\/+/, '')
    .replaceAll('/', '-')
    .replaceAll(/[^A-Za-z0-9._-]/g, '_')
    .replace(/^[._-]+/, '')
    .slice(0, 128) || 'outputs'

const environment = (texts: readonly string[]): Readonly<Record<string, string>> => {
  const variables = new Map<string, string>()
  for (const text of texts) {
    const equals = text.indexOf('=')
    const name = text.slice(0, equals)
    const wrong = equals < 1 ? 'expected a name and a value, such as LEVEL=3' : variables.has(name) ? 'that variable is given twice' : undefined
    if (wrong !== undefined) throw cliError('usage', `${JSON.stringify(text.slice(0, 60))}: ${wrong}`, { place: { flag: '--env' } })
    variables.set(name, text.slice(equals + 1))
  }
  // An own property, whatever the name.
  return Object.fromEntries(variables)
}

const hour = 3_600_000

/** A program that may run for long needs a job that may take longer: by as much as one has by default for everything. */
const timeouts = (execution: string): Readonly<Record<string, string>> => {
  const milliseconds = parseDuration(execution)
  return { execution, ...(milliseconds !== undefined && milliseconds > hour / 2 && { total: formatDuration(milliseconds + hour) }) }
}

const network = ({ network: mode, domain: domains }: DockerFlags): Readonly<Record<string, unknown>> | undefined => {
  if (mode === 'http' && domains === undefined)
    throw cliError('usage', 'http is for the domains that are named: give --domain with each, such as --domain example.org', { place: { flag: '--network' } })
  // Domains can mean nothing else.
  return mode === undefined && domains === undefined ? undefined : defined({ mode: mode ?? 'http', domains })
}
