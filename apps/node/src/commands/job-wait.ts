import type { Job } from '@skrei/api/client'
import type { ExitCode } from '../cli-errors.ts'
import { jobExit } from '../job-error.ts'
import { resultEvent } from '../job-events.ts'
import { remoteError } from '../remote/remote-run.ts'
import { summary } from '../summary.ts'
import { type Asking, type AskOptions, askNode } from './ask-node.ts'

/** `skrei job wait`: until the job is over; ends as the job does. */
export const jobWait = (id: string, options: AskOptions): Promise<ExitCode> =>
  askNode(
    options,
    async (asking) => {
      const { client, signal } = asking
      const job = await client.job(id, { signal })
      asking.about(job.id, `wait ${job.id}`)
      return await tellEnd(asking, job.open ? await client.finished(job.id, { signal }) : job)
    },
    'interrupted; the job goes on',
  )

/** Tells how a job ended. Returns its exit code. */
export const tellEnd = async ({ client, event, say, json, next, signal }: Asking, job: Job): Promise<ExitCode> => {
  const stderrCommand = (shard: number): string => next(`logs ${job.id} --shard ${shard} --stderr`)
  const result = resultEvent(job, null, await remoteError(client, job, undefined, { signal }, stderrCommand))
  const people = json ? process.stderr : process.stdout
  say(summary(job, result, undefined, people, () => next(`results ${job.id} --output DIR`)))
  event(result)
  return jobExit(job)
}
