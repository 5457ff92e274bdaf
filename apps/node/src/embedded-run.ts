import { join } from 'node:path'
import { failures, specCid } from '@skrei/job-spec'
import { type JobView, type ShardResult, SubmitError } from '@skrei/scheduler'
import type { Source } from '@skrei/storage'
import { CliError } from './cli-errors.ts'
import { internal } from './commands/fail.ts'
import { type EmbeddedNode, startEmbeddedNode } from './embedded-node.ts'
import { embeddedSignals } from './embedded-signals.ts'
import { reapEngines } from './engines.ts'
import { fetchResult } from './fetch-result.ts'
import { type Home, openHome, type RunFolder, takeRunFolder } from './home.ts'
import { homePath } from './home-path.ts'
import { openIdentity } from './identity.ts'
import type { Interrupts } from './interrupts.ts'
import { refusedSubmission } from './job-check.ts'
import { culpritOf, jobError, remedyOf, stderrIn } from './job-error.ts'
import { type CliEvent, jobEvents, type ResultEvent, resultEvent } from './job-events.ts'
import type { JobFile } from './job-file.ts'
import { progress } from './progress.ts'
import { type ResultDirectory, takeResultDirectory } from './result-directory.ts'
import { type RunLog, runLog } from './run-log.ts'
import { type StderrTails, stderrTails } from './stderr-tails.ts'

export interface EmbeddedRun {
  readonly job: JobFile
  /** The source `local`, as the job was checked with it. */
  readonly local: Source
  /** Default: a directory of the job's own under `results`. */
  readonly output: ResultDirectory | undefined
  readonly json: boolean
  readonly allowPrivateAddresses: boolean
  readonly interrupt: Interrupts
  readonly onSubmit: (jobId: string) => void
}

export interface Outcome {
  readonly view: JobView
  readonly result: ResultEvent
}

/** Runs a job on a node that lives as long as the job, and fetches its result. Events and progress are told on the way; the outcome is not. */
export const runEmbedded = async (given: EmbeddedRun): Promise<Outcome> => {
  const home = openHome(homePath())
  const identity = openIdentity(home)
  const { local, allowPrivateAddresses } = given
  const tails = stderrTails()
  return await inRunFolder(home, given.interrupt, async (folder, logger) => {
    await using node = await startEmbeddedNode({
      home,
      runFolder: folder.path,
      identity,
      local,
      allowPrivateAddresses,
      engine: given.job.spec.engine.type,
      tails,
      logger,
    })
    return await runJob({ ...given, tails }, node, home, logger)
  })
}

/** A locked folder of this process's own, gone at the end; what dead processes left goes first. Faults leave their log behind. */
export const inRunFolder = async <T>(home: Home, interrupt: Interrupts, work: (folder: RunFolder, log: RunLog) => Promise<T>): Promise<T> => {
  const folder = takeRunFolder(home)
  const log = runLog(home, folder)
  try {
    for (const dead of folder.dead) {
      try {
        await reapEngines(dead.path)
        dead.remove()
      } catch (error) {
        log.warn('could not clean up after a dead run; the next start tries again', { folder: dead.path, error })
      }
    }
    return await work(folder, log)
  } catch (error) {
    if (error instanceof CliError || interrupt.first.aborted) throw error
    log.error('the run broke off', { error })
    throw internal(error, log.keep())
  } finally {
    folder.remove()
  }
}

const runJob = async (
  { job, output, json, interrupt, onSubmit, tails }: EmbeddedRun & { readonly tails: StderrTails },
  node: EmbeddedNode,
  home: Home,
  log: RunLog,
): Promise<Outcome> => {
  const { scheduler } = node
  using display = progress(process.stderr)
  const emit = (event: CliEvent): void => {
    if (json) process.stdout.write(`${JSON.stringify(event)}\n`)
    display.show(event)
  }
  using signals = embeddedSignals(scheduler)
  interrupt.first.throwIfAborted()
  const jobId = await orRefused(job, scheduler.submit(job.spec))
  onSubmit(jobId)
  emit({ type: 'submitted', jobId, name: job.spec.name ?? 'job', specCid: specCid(job.spec), node: scheduler.nodeId })
  signals.submitted(jobId, jobEvents(jobId, emit))
  const cancel = (): void => void scheduler.cancel(jobId).catch((error: unknown) => log.error('could not cancel the job', { error }))
  interrupt.first.addEventListener('abort', cancel)
  if (interrupt.first.aborted) cancel()
  const view = await scheduler.finished(jobId, { signal: interrupt.second })

  const directory = output ?? takeResultDirectory(join(home.results, jobId))
  try {
    await fetchResult(node, view, directory, { signal: interrupt.second, progress: (bytes) => emit({ type: 'fetching', jobId, bytes }) })
  } catch (error) {
    directory.undo()
    throw error
  }
  const shard = culpritOf(view, scheduler.result(jobId)?.shards ?? [])
  const error = jobError(view, {
    shard,
    stderr: shard === undefined ? '' : (await stderrIn(directory.path, shard.index)) || tailOf(shard, tails),
    log: view.failure !== undefined && failures[view.failure.code].by === 'node' ? log.keep() : undefined,
    remedyOf,
  })
  const result = resultEvent(view, directory.path, error)
  return { view, result }
}

/** Of the last execution of a shard that left one. */
const tailOf = ({ executions }: ShardResult, tails: StderrTails): string => executions.map(({ id }) => tails.find(id)).findLast((tail) => tail !== '') ?? ''

/** A job that no network of this kind could run is refused here, with what to change. */
export const orRefused = async <T>(job: JobFile, submitting: Promise<T>): Promise<T> => {
  try {
    return await submitting
  } catch (error) {
    if (!(error instanceof SubmitError) || error.code === 'not-started') throw error
    throw refusedSubmission(job, error)
  }
}
