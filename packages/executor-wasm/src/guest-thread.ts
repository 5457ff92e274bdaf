// The thread in which guests run, inside the process that child.ts is. It may be in a loop that never ends: the process is what gets killed.
import { parentPort, workerData } from 'node:worker_threads'
import type { GuestJob } from './guest-job.ts'
import { runGuest, warmUp } from './run-guest.ts'

const told: unknown = workerData
if (parentPort === null || !(told instanceof SharedArrayBuffer)) throw new Error('this module is a worker of child.ts')
const port = parentPort
/** 1 while a message about output is on its way: one is enough. */
const flag = new Int32Array(told)

port.on('message', (job: GuestJob) => {
  const result = runGuest(job, () => {
    if (Atomics.exchange(flag, 0, 1) === 0) port.postMessage({ type: 'output' })
  })
  port.postMessage({ type: 'end', result })
})
warmUp()
port.postMessage({ type: 'ready' })
