// A thread that runs the seeds it is sent, one after the other, and says of each what was broken: null for nothing.
import { parentPort } from 'node:worker_threads'
// @boundaries-ignore what breaks the scheduler on purpose stands with its tests, and is published with no package
import { runSeed } from '../../../packages/scheduler/test/fault-run.ts'

parentPort?.on('message', async (seed: number) => {
  const broken = await runSeed(seed).then(
    () => null,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  )
  parentPort?.postMessage(broken)
})
