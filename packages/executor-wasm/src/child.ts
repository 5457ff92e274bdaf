// The process in which guests run. Its main thread runs no guest: it listens to the parent, and dies with it whatever the guest is doing.
import { writeFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import type { GuestJob, GuestResult, ProcessMessage } from './guest-job.ts'

// Not process.exit(): that waits for the thread.
const die = (): void => {
  process.kill(process.pid, 'SIGKILL')
}
process.on('disconnect', die)
process.umask(0o022)
try {
  // Where memory runs out, this process goes before the node does.
  writeFileSync('/proc/self/oom_score_adj', '1000')
} catch {
  // Not Linux, or not allowed: nothing that the guest's limits depend on.
}

/** What compiled code and the host's side of the guest's files may take beside the guest's own memory. */
const allowance = 768 * 2 ** 20

const flag = new SharedArrayBuffer(4)
const thread = new Worker(import.meta.url.endsWith('.ts') ? new URL('./guest-thread.ts', import.meta.url) : new URL('./guest-thread.js', import.meta.url), {
  workerData: flag,
  env: {},
  resourceLimits: { maxOldGenerationSizeMb: 512, maxYoungGenerationSizeMb: 64, stackSizeMb: 8 },
})

let began = process.cpuUsage()
let told = false
let watch: NodeJS.Timeout | undefined

const send = (message: ProcessMessage): void => {
  process.send?.(message)
}
const end = (result: GuestResult): void => {
  clearInterval(watch)
  watch = undefined
  const { user, system } = process.cpuUsage(began)
  send({ type: 'end', result, cpuMs: Math.round((user + system) / 1000) })
}
const outOfMemory = (detail: string): void => end({ ending: { type: 'failure', code: 'out-of-memory', detail }, truncated: [], outputBytes: 0 })

thread.on('message', (message: ProcessMessage) => {
  if (message.type === 'output') Atomics.store(new Int32Array(flag), 0, 0)
  if (message.type === 'end') end(message.result)
  else send(message)
})
thread.on('error', (error: NodeJS.ErrnoException) => {
  if (!told) {
    // There is nobody to tell but who waits for this process to be ready.
    process.stderr.write(`the thread of the guests did not start: ${error.message}\n`)
    process.exit(1)
  }
  if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') outOfMemory('the engine ran out of its own memory')
  else end({ ending: { type: 'fault', message: error.message }, truncated: [], outputBytes: 0 })
})
process.on('message', (job: GuestJob) => {
  told = true
  began = process.cpuUsage()
  const limit = process.memoryUsage.rss() + job.memory + allowance
  watch = setInterval(() => {
    if (process.memoryUsage.rss() > limit) outOfMemory('the engine needed far more memory than the program has')
  }, 100)
  thread.postMessage(job)
})
