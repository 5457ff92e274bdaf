import { forgetOldest } from '../forget-oldest.ts'
import type { KernelEvent } from '../kernel/event.ts'
import type { Logger } from '../options.ts'

/** So many are remembered to have been said. */
const remembered = 1024

/** A ranker that fails does so for every node and shard: the history of a job has it once for each ranker, since this start of the node. */
export const createRankerFaults = (world: {
  readonly submit: (events: readonly KernelEvent[]) => Promise<void>
  readonly logger: Logger
  readonly report: (error: unknown) => void
}): ((job: string, ranker: string, why: string) => void) => {
  const said = new Set<string>()
  return (job, ranker, why) => {
    const key = `${job} ${ranker}`
    if (said.has(key)) return
    said.add(key)
    forgetOldest(said, remembered)
    world.logger.warn('a ranker failed: where it does, it counts as 0', { job, ranker, why })
    world.submit([{ kind: 'job', id: job, actor: `ranker ${ranker}`, event: { type: 'fault', fault: why } }]).catch(world.report)
  }
}
