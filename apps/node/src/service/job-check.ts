import { ApiError } from '@skrei/api'
import { failureOf, failures, formatPath, type JobSpec, type SourceSpec } from '@skrei/job-spec'
import { checkJob, type NodeOffer, type SubmitError, submitErrors } from '@skrei/scheduler'
import type { Source } from '@skrei/storage'

type Path = readonly (string | number)[]

export interface JobFacts {
  readonly sources: readonly Source[]
  /** Types; `none` is always there. */
  readonly publishers: readonly string[]
}

/** What the API says to a job that the scheduler does not take. */
export const refusedSubmission = ({ code, message, path }: SubmitError): ApiError => {
  const { remedy } = submitErrors[code]
  return new ApiError(code === 'not-started' ? 'draining' : code, message, { remedy, ...(path.length > 0 && { path: formatPath(path) }) })
}

/** What the scheduler would refuse the job for; `nodes`: how many this one knows. Asks nobody: another node may run what this one could not. */
export const requireSubmittable = (spec: JobSpec, nodes: number): void => {
  const anything: NodeOffer = { engines: [], sources: [], publishers: [], capacity: { cpu: 0, memory: 0, disk: 0 }, devices: [], labels: {} }
  const { refused } = checkJob(spec, anything, { nodes })
  if (refused !== undefined) throw refusedSubmission(refused)
}

/**
 * What this node can know of a job besides: throws the ApiError that a submission is refused with. As a requester it lists every input and fetches every result itself: of a source or
 * publisher that it does not have, nothing can come.
 */
export const requireReachable = async (spec: JobSpec, facts: JobFacts, options: { readonly signal?: AbortSignal } = {}): Promise<void> => {
  requirePublisher(spec, facts)
  for (const { path, source } of sourcesOf(spec)) {
    const driver = facts.sources.find(({ type }) => type === source.type)
    if (driver === undefined)
      throw refusal(
        'source-unsupported',
        path,
        source.type === 'local' ? 'this node opens no files of its own: `allow.localPaths` is empty' : `this node has no source ${source.type}`,
      )
    if (source.type === 'local') await requireLocal(driver, source, path, options)
  }
}

const requirePublisher = (spec: JobSpec, { publishers }: JobFacts): void => {
  const wanted = spec.publisher ?? [{ type: 'ipfs' }]
  if (wanted.some(({ type }) => type === 'none' || publishers.includes(type))) return
  const types = wanted.map(({ type }) => type).join(', ')
  throw new ApiError('publisher-unsupported', `publisher: this node cannot fetch what is published by ${types}; it has ${[...publishers, 'none'].join(', ')}`, {
    status: 422,
    path: 'publisher',
    remedy: 'Name one of those publishers in the job, or turn the one that is wanted on at the node.',
  })
}

const remedies: Readonly<Partial<Record<string, string>>> = {
  'source-unsupported': 'Give the data by a source that the node has: upload it (POST /blobs), or add the directory to `allow.localPaths` of the node.',
  'source-forbidden': 'Upload the file (POST /blobs), or add its directory to `allow.localPaths` of the node.',
  'source-not-found': 'Correct the path: it is one of the node that takes the job, and absolute.',
}

const refusal = (code: string, path: Path, detail: string): ApiError => {
  const remedy = remedies[code]
  return new ApiError(code, `${formatPath(path)}: ${detail}`, { status: 422, path: formatPath(path), ...(remedy !== undefined && { remedy }) })
}

const requireLocal = async (driver: Source, source: SourceSpec, path: Path, options: { readonly signal?: AbortSignal }): Promise<void> => {
  try {
    for await (const first of driver.list(source, options)) {
      if (path[0] === 'engine' && first.alone !== true) throw refusal('source-invalid', path, 'this is a directory, a module is one file')
      break
    }
  } catch (error) {
    const failure = failureOf(error)
    if (failure === undefined) throw error
    const { code, detail } = failure
    throw new ApiError(code, `${formatPath(path)}: ${detail}`, {
      status: 422,
      path: formatPath([...path, 'path']),
      remedy: remedies[code] ?? failures[code].remedy,
    })
  }
}

const sourcesOf = ({ engine, inputs = [] }: JobSpec): readonly { readonly path: Path; readonly source: SourceSpec }[] => [
  ...(engine.type === 'wasm' && 'module' in engine ? [{ path: ['engine', 'module'], source: engine.module as SourceSpec }] : []),
  ...inputs.map(({ source }, index) => ({ path: ['inputs', index, 'source'], source })),
]
