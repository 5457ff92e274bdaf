import { type ExitCode, exitCodes } from '../cli-errors.ts'
import { type AskOptions, askNode } from './ask-node.ts'

/** `skrei job stop`: asks for a job to be cancelled. One that is over stays as it is. */
export const jobStop = (id: string, options: AskOptions): Promise<ExitCode> =>
  askNode(options, async ({ client, event, next, say, signal, style }) => {
    const before = await client.job(id, { signal })
    if (before.open) await client.stop(before.id, { signal })
    const job = await client.job(before.id, { signal })
    event({ type: 'job', jobId: job.id, state: job.state } as { readonly type: string })
    if (!before.open) say(`job ${job.id} is over: ${job.state}`)
    else say([`job ${job.id} is being stopped`, `  ${style('dim', next(`wait ${job.id}`))}`])
    return exitCodes.completed
  })
