import { printJob } from '@skrei/job-spec'
import type { JobPlan } from '@skrei/scheduler'
import type { Source } from '@skrei/storage'
import type { JobFile } from '../job-file.ts'
import { told } from './api-failure.ts'
import { connect, type NodeOption } from './connect.ts'
import { uploadSources } from './upload-sources.ts'

/** What the network of a node says to a job, without running it. The files that it names are uploaded: nobody could say anything of them otherwise. */
export const planRemote = async (given: {
  readonly job: JobFile
  readonly local: Source
  readonly option: NodeOption
  readonly signal: AbortSignal
}): Promise<JobPlan> => {
  const { job, local, option, signal } = given
  try {
    const client = connect(option)
    const spec = await uploadSources(job, local, client, { signal, progress: () => {} })
    return await client.plan(printJob(spec, 'json'), { signal })
  } catch (error) {
    throw told(error, job)
  }
}
