import { type ExitCode, exitCodes } from '../cli-errors.ts'
import { jobTimeline } from '../remote/job-timeline.ts'
import { timelineText } from '../timeline-text.ts'
import { type AskOptions, askNode } from './ask-node.ts'

/** `skrei job describe`: what became of a job until now. */
export const jobDescribe = (id: string, options: AskOptions): Promise<ExitCode> =>
  askNode(options, async ({ client, event, say, style, width, signal }) => {
    const job = await client.job(id, { signal })
    const timeline = await jobTimeline(client, job.id, { signal })
    event({ type: 'timeline', job, ...timeline } as { readonly type: string })
    say(timelineText(job, timeline, Date.now(), { style, width }))
    return exitCodes.completed
  })
