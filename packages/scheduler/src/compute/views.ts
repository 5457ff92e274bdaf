import type { Reader, Row } from '@skrei/state-store'
import type { ComputeContext } from '../machines/compute-execution.ts'
import type { ComputePage, ComputeView } from '../options.ts'

/** Of one that came to nothing, less is kept. */
type Kept = Omit<ComputeContext, 'task' | 'devices'> & Partial<Pick<ComputeContext, 'task' | 'devices'>>

const viewOf = ({ id, state, open, data }: Row): ComputeView => {
  const { requester, job, shard, task, devices = [] } = data as unknown as Kept
  return { id, requester, jobId: job, shard: shard.index, state, open, ...(task && { resources: task.resources }), devices }
}

/** What this node runs, or ran, for requesters. */
export const computeViews = (reader: Reader, where: ComputePage): readonly ComputeView[] => reader.list('compute', where).map(viewOf)
