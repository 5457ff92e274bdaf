import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { ApiClient, Job } from '@skrei/api/client'
import { printJob } from '@skrei/job-spec'
import type { Source } from '@skrei/storage'
import { openHome } from '../home.ts'
import { homePath } from '../home-path.ts'
import type { Interrupts } from '../interrupts.ts'
import { jobError, stderrIn } from '../job-error.ts'
import { type CliEvent, jobEvents, type ResultError, type ResultEvent, resultEvent } from '../job-events.ts'
import type { JobFile } from '../job-file.ts'
import { progress } from '../progress.ts'
import { type ResultDirectory, takeResultDirectory } from '../result-directory.ts'
import { failedShard } from './all-shards.ts'
import { told } from './api-failure.ts'
import { fetchRemoteResult } from './fetch-remote-result.ts'
import { remoteSignals } from './remote-signals.ts'
import { uploadSources } from './upload-sources.ts'

export interface RemoteRun {
  /** The client of the node; `tell` is given lines for people. */
  readonly connect: (tell: (line: string) => void) => ApiClient
  readonly job: JobFile
  /** The source `local`, as the job was checked with it. */
  readonly local: Source
  /** Default: a directory of the job's own under `results` of SKREI_HOME. */
  readonly output: ResultDirectory | undefined
  readonly json: boolean
  readonly interrupt: Interrupts
  readonly onSubmit: (jobId: string) => void
}

export interface RemoteOutcome {
  readonly view: Job
  readonly result: ResultEvent
}

const tellEvery = 4 * 1024 * 1024

/** Gives the job's files to the node and the job with them. Told again after a lost connection, it is the same job. */
export const submitRemote = async (
  { client, job, local }: Pick<RemoteRun, 'job' | 'local'> & { readonly client: ApiClient },
  { signal, emit, key = randomUUID() }: { readonly signal: AbortSignal; readonly emit: (event: CliEvent) => void; readonly key?: string },
): Promise<{ readonly job: Job; readonly created: boolean }> => {
  let uploaded = 0
  const progress = (bytes: number): void => {
    if (bytes - uploaded < tellEvery) return
    uploaded = bytes
    emit({ type: 'uploading', bytes })
  }
  try {
    const spec = await uploadSources(job, local, client, { signal, progress })
    return await client.submit(printJob(spec, 'json'), { key, signal })
  } catch (error) {
    throw told(error, job)
  }
}

/** Runs a job on a node that is a process of its own, and fetches its result. Events and progress are told on the way; the outcome is not. */
export const runRemote = async (given: RemoteRun): Promise<RemoteOutcome> => {
  const { job, json, interrupt } = given
  using display = progress(process.stderr)
  const client = given.connect(display.note)
  const emit = (event: CliEvent): void => {
    if (json) process.stdout.write(`${JSON.stringify(event)}\n`)
    display.show(event)
  }
  const { nodeId } = await client.health({ signal: interrupt.first })
  const { job: accepted } = await submitRemote({ ...given, client }, { signal: interrupt.first, emit })
  given.onSubmit(accepted.id)
  emit({ type: 'submitted', jobId: accepted.id, name: job.spec.name ?? 'job', specCid: accepted.specCid, node: nodeId })
  const view = await followed(client, accepted.id, interrupt, emit)

  const directory = given.output ?? takeResultDirectory(join(openHome(homePath()).results, view.id))
  const options = { signal: interrupt.second }
  try {
    await fetchRemoteResult(client, view, directory, { ...options, progress: (bytes) => emit({ type: 'fetching', jobId: view.id, bytes }) })
  } catch (error) {
    directory.undo()
    throw error
  }
  return { view, result: resultEvent(view, directory.path, await remoteError(client, view, directory.path, options)) }
}

/** Tells what happens until the job is over. The first signal stops the job, and its end is waited for; the second leaves it. */
const followed = async (client: ApiClient, jobId: string, interrupt: Interrupts, emit: (event: CliEvent) => void): Promise<Job> => {
  const tell = jobEvents(jobId, emit)
  const options = { signal: interrupt.second }
  const stopping = Promise.withResolvers<never>()
  const stop = (): void => void client.stop(jobId, options).catch(stopping.reject)
  interrupt.first.addEventListener('abort', stop)
  if (interrupt.first.aborted) stop()
  const following = (async () => {
    for await (const signal of remoteSignals(client, jobId, options)) tell(signal)
    return await client.finished(jobId, options)
  })()
  try {
    return await Promise.race([following, stopping.promise])
  } finally {
    interrupt.first.removeEventListener('abort', stop)
  }
}

/** Why a job did not complete, with the end of its stderr where the result was fetched. */
export const remoteError = async (
  client: ApiClient,
  job: Job,
  directory: string | undefined,
  options: { readonly signal: AbortSignal },
  stderrCommand?: (shard: number) => string,
): Promise<ResultError | null> => {
  const shard = job.state === 'failed' && job.failure !== undefined ? await failedShard(client, job.id, job.failure.code, options) : undefined
  const stderr = shard === undefined || directory === undefined ? '' : await stderrIn(directory, shard.index)
  return jobError(job, { shard, stderr, stderrCommand })
}
