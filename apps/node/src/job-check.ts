import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { formatPath, type Refusal, refusals, resolve, specCid, taskOf } from '@skrei/job-spec'
import { checkJob, type SubmitError, submitErrors } from '@skrei/scheduler'
import { CliError, exitCodes, type Place, type Problem } from './cli-errors.ts'
import { ownDockerPolicy } from './docker-policy.ts'
import { embeddedOffer } from './embedded-offer.ts'
import { engines, enginesHere } from './engines.ts'
import { homePath } from './home-path.ts'
import type { JobFile } from './job-file.ts'
import { checkLocalSources, localSourceOf } from './local-sources.ts'

type Path = readonly (string | number)[]

/** What a submission was refused for, as the command line tells it: with its place in the file, and the exit code that `run` ends with. */
export const refusedSubmission = (job: JobFile, error: SubmitError): CliError => {
  const { code, message, path } = error
  const exit = code === 'not-enough-nodes' ? exitCodes['no-node'] : exitCodes['bad-input']
  return new CliError(exit, [{ code, message, ...placeOf(job, path), remedy: submitErrors[code].remedy }], { cause: error })
}

/**
 * Whether `skrei run` would take the job up: starts no node, opens no source but looks for local ones. Throws the CliError that `run` would end with before
 * anything runs. Returns why this node could not run it all the same, or where a local source is missing: another node may.
 */
export const checkRunnable = async (job: JobFile): Promise<readonly Problem[]> => {
  // Nothing of theirs is started, so there is nothing to dispose of and no folder.
  const executors = await engines('', {
    warm: 0,
    runsPerProcess: 1,
    names: await enginesHere(job.spec.engine.type),
    docker: ownDockerPolicy('', { allowPrivateAddresses: false }),
  })
  const task = taskOf(resolve(job.spec), specCid(job.spec))
  const own = executors.find(({ engine }) => engine === task.engine.type)
  const { devices } = task.resources.gpu.count > 0 && own !== undefined ? await own.inventory() : { devices: [] }
  const offer = await embeddedOffer(
    existing(homePath()),
    executors.map(({ engine }) => engine),
    devices,
  )
  const { refused, misfits } = checkJob(job.spec, offer)
  if (refused !== undefined) throw refusedSubmission(job, refused)
  const byEngine = misfits.length > 0 ? [] : ((await own?.assess(task)) ?? [])
  return [...[...misfits, ...byEngine].map((refusal) => misfitProblem(job, refusal)), ...(await missingSources(job))]
}

/** The home may not be there yet: the disk is that of the folder it would be made in. */
const existing = (path: string): string => (existsSync(path) ? path : existing(dirname(path)))

const misfitProblem = (job: JobFile, refusal: Refusal): Problem => ({
  code: refusal.code,
  message: `this node could not run it: ${refusal.detail}`,
  ...placeOf(job, fieldOf(refusal)),
  remedy: refusals[refusal.code].remedy,
})

/** The field of a job that a refusal is about. */
const fieldOf = ({ code, resource }: Refusal): Path => {
  switch (code) {
    case 'engine-unavailable':
      return ['engine', 'type']
    case 'constraint':
      return ['constraints']
    case 'publisher-unsupported':
      return ['publisher']
    case 'source-unsupported':
      return ['inputs']
    case 'network-unsupported':
      return ['network']
    case 'exceeds-node':
      return resource === undefined ? ['resources'] : ['resources', resource]
    default:
      return []
  }
}

const placeOf = (job: JobFile, path: Path): Place => ({ ...job.placeOf(path, 'key'), path: formatPath(path) })

const missingSources = async (job: JobFile): Promise<readonly Problem[]> => {
  try {
    await checkLocalSources(job, localSourceOf(job))
    return []
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    return error.problems
  }
}
