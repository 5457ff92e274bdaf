import type { JobPlan } from '@skrei/scheduler'
import type { Source } from '@skrei/storage'
import { startEmbeddedNode } from './embedded-node.ts'
import { inRunFolder, orRefused } from './embedded-run.ts'
import { openHome } from './home.ts'
import { homePath } from './home-path.ts'
import { openIdentity } from './identity.ts'
import type { Interrupts } from './interrupts.ts'
import type { JobFile } from './job-file.ts'

export interface EmbeddedPlan {
  readonly job: JobFile
  /** The source `local`, as the job was checked with it. */
  readonly local: Source
  readonly allowPrivateAddresses: boolean
  readonly interrupt: Interrupts
}

/** What the node that would run the job says to it, without running it. */
export const planEmbedded = async ({ job, local, allowPrivateAddresses, interrupt }: EmbeddedPlan): Promise<JobPlan> => {
  const home = openHome(homePath())
  const identity = openIdentity(home)
  return await inRunFolder(home, interrupt, async (folder, logger) => {
    await using node = await startEmbeddedNode({ home, runFolder: folder.path, identity, local, allowPrivateAddresses, engine: job.spec.engine.type, logger })
    return await orRefused(job, node.scheduler.plan(job.spec, { signal: interrupt.first }))
  })
}
