import { FailureError, failureOf, failures, formatPath, type SourceSpec } from '@skrei/job-spec'
import type { Source } from '@skrei/storage'
import { localSource } from '@skrei/storage/local'
import { CliError, exitCodes, type Place, type Problem } from './cli-errors.ts'
import type { JobFile } from './job-file.ts'

type Path = readonly (string | number)[]

/** The source `local` of a job: what it may read of this machine. */
export const localSourceOf = ({ allow, base }: JobFile): Source => localSource({ allow, base })

/** Looks at every local source that the job names, as the node will: what is missing or forbidden is told with its place, before anything is submitted. */
export const checkLocalSources = async (job: JobFile, local: Source, options: { readonly signal?: AbortSignal } = {}): Promise<void> => {
  const problems: Problem[] = []
  for (const { path, source } of localSources(job)) {
    try {
      for await (const first of local.list(source, options)) {
        if (path[0] === 'engine' && first.alone !== true)
          throw new FailureError('source-invalid', `${source.type === 'local' ? source.path : 'the module'} is a directory, a module is one file`)
        break
      }
    } catch (error) {
      const failure = failureOf(error)
      if (failure === undefined) throw error
      const place = job.placeOf([...path, 'path'])
      problems.push({
        code: failure.code,
        message: `${formatPath(path)}: ${failure.detail}`,
        ...place,
        path: formatPath([...path, 'path']),
        remedy: remediesFor(place)[failure.code] ?? failures[failure.code].remedy,
      })
    }
  }
  const [first, ...rest] = problems
  if (first !== undefined) throw new CliError(exitCodes['bad-input'], [first, ...rest])
}

type Remedies = Readonly<Partial<Record<string, string>>>

// What helps on an embedded node, which has no list of directories to edit.
const remediesFor = ({ flag }: Place): Remedies => (flag === undefined ? fileRemedies : flagRemedies)
const flagRemedies: Remedies = {
  'source-not-found': 'Correct the path: it is relative to the current directory.',
  'source-forbidden': 'Check that you may read what lies there.',
}
const fileRemedies: Remedies = {
  'source-not-found': 'Correct the path: it is relative to the job file (with `-`, to the current directory).',
  'source-forbidden': "Put the file beside the job file or below: the node that `skrei run` starts opens nothing outside the job file's directory.",
}

export interface LocalSource {
  /** Where in the job. */
  readonly path: Path
  readonly source: SourceSpec
  /** Of an input: where it lies in the sandbox. */
  readonly at?: string
}

/** Where a job names files of this machine. */
export const localSources = ({ spec }: JobFile): readonly LocalSource[] => {
  const engine = spec.engine.type === 'wasm' && 'module' in spec.engine ? [{ path: ['engine', 'module'], source: spec.engine.module as SourceSpec }] : []
  const inputs = (spec.inputs ?? []).map(({ source, path }, index) => ({ path: ['inputs', index, 'source'], source, at: path }))
  return [...engine, ...inputs].filter(({ source }) => source.type === 'local')
}
