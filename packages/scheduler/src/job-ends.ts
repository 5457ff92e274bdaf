import type { StateStore } from '@skrei/state-store'
import type { Transition } from './kernel/event.ts'
import type { JobView } from './options.ts'
import { jobView } from './requester/job-views.ts'
import { SchedulerError } from './scheduler-error.ts'

/** Those who wait for jobs to end, by job: what happens to one concerns nobody else's waiters. */
export interface JobEnds {
  /** Told of every transition. */
  turned(transition: Transition): void
  /** Rejects with a `SchedulerError` (`no-job`, or `stopped` when the node stops), or with the signal's reason. */
  wait(jobId: string, signal: AbortSignal | undefined): Promise<JobView>
}

export const createJobEnds = (store: StateStore, stopping: AbortSignal): JobEnds => {
  const waiting = new Map<string, Set<(view: JobView) => void>>()

  return {
    turned: ({ kind, id, open }) => {
      if (kind !== 'job' || open) return
      const those = waiting.get(id)
      const view = those && store.read((reader) => jobView(reader, id))
      if (view) for (const resolve of those) resolve(view)
    },
    wait: async (jobId, signal) => {
      signal?.throwIfAborted()
      const stopped = (): SchedulerError => new SchedulerError('stopped', `the node stopped before job ${jobId} was final`)
      if (stopping.aborted) throw stopped()
      const now = store.read((reader) => jobView(reader, jobId))
      if (now === undefined) throw new SchedulerError('no-job', `no job ${jobId}`)
      if (!now.open) return now
      const { promise, resolve, reject } = Promise.withResolvers<JobView>()
      const those = waiting.get(jobId) ?? new Set()
      waiting.set(jobId, those.add(resolve))
      const abort = (): void => reject(signal?.reason)
      const stop = (): void => reject(stopped())
      signal?.addEventListener('abort', abort, { once: true })
      stopping.addEventListener('abort', stop, { once: true })
      try {
        return await promise
      } finally {
        those.delete(resolve)
        if (those.size === 0 && waiting.get(jobId) === those) waiting.delete(jobId)
        signal?.removeEventListener('abort', abort)
        stopping.removeEventListener('abort', stop)
      }
    },
  }
}
