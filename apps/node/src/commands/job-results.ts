import { cliError, type ExitCode, exitCodes } from '../cli-errors.ts'
import { resultEvent } from '../job-events.ts'
import { bytes } from '../printable.ts'
import { fetchRemoteResult } from '../remote/fetch-remote-result.ts'
import { remoteError } from '../remote/remote-run.ts'
import { takeResultDirectory } from '../result-directory.ts'
import { type AskOptions, askNode } from './ask-node.ts'

export interface ResultsOptions extends AskOptions {
  readonly output: string
}

/** `skrei job results`: the result of a job that is over, into a new or empty directory. Completes whatever the job came to: a failed job has a result too. */
export const jobResults = (id: string, options: ResultsOptions): Promise<ExitCode> =>
  askNode(options, async ({ client, event, say, signal }) => {
    const job = await client.job(id, { signal })
    if (job.open) throw cliError('job-not-over', `job ${job.id} is ${job.state}: its result is whole when it is over`)
    const into = takeResultDirectory(options.output)
    try {
      let size = 0
      const progress = (so: number): void => {
        size = so
        event({ type: 'fetching', jobId: job.id, bytes: so } as { readonly type: string })
      }
      await fetchRemoteResult(client, job, into, { signal, progress })
      event(resultEvent(job, into.path, await remoteError(client, job, into.path, { signal })))
      say(`${into.path}${size > 0 ? `  ${bytes(size)}` : ''}`)
      return exitCodes.completed
    } catch (error) {
      into.undo()
      throw error
    }
  })
