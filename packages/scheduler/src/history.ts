import type { HistoryEntry, Reader, StateStore } from '@skrei/state-store'
import { refusalsOf } from './kernel/record.ts'
import type { ExecutionContext } from './machines/execution.ts'
import type { HistoryItem, HistoryPage } from './options.ts'
import { shardIndexOf } from './requester/facts.ts'
import { createWaiters } from './waiters.ts'

/** Reads what happened to jobs and executions, and waits for what happens next. */
export interface Histories {
  /** One merged, ordered page over a job, its shards and its executions. */
  ofJob(jobId: string, page?: HistoryPage): readonly HistoryItem[]
  /** Of an execution that this node runs, or ran, for a requester. */
  ofExecution(executionId: string, page?: HistoryPage): readonly HistoryItem[]
  subscribe(jobId: string, options: { readonly after?: number; readonly signal?: AbortSignal }): AsyncIterable<HistoryItem>
  /** A job has new entries; they can be read only once `turned` is called. */
  recorded(jobId: string): void
  /** A turn is durable: whoever waits for its entries reads them. */
  turned(): void
}

/** How many entries a subscriber has in memory; the rest stay in the store until it asks. */
const itemsPerRead = 256

export const createHistories = (store: StateStore, stopping: AbortSignal): Histories => {
  /** By job: those who have read all there was. */
  const waiters = createWaiters()
  const touched = new Set<string>()

  const ofJob: Histories['ofJob'] = (jobId, { after = 0, limit = itemsPerRead } = {}) => store.read((reader) => jobItems(reader, jobId, after, limit))

  return {
    ofJob,
    ofExecution: (executionId, { after = 0, limit = itemsPerRead } = {}) =>
      store.read((reader) => reader.history('compute', executionId, after, limit).map((entry) => itemOf(reader, entry))),
    subscribe: async function* (jobId, { after = 0, signal }) {
      const ending = signal ? AbortSignal.any([signal, stopping]) : stopping
      if (store.read((reader) => reader.get('job', jobId)) === undefined) throw new Error(`no job ${jobId}`)
      let position = after
      while (signal?.aborted !== true) {
        stopping.throwIfAborted()
        // Listens before it reads: what is written in between is not missed.
        using news = waiters.next(jobId, ending)
        const { items, open } = store.read((reader) => ({
          items: jobItems(reader, jobId, position, itemsPerRead),
          open: reader.get('job', jobId)?.open === true,
        }))
        for (const item of items) {
          if (ending.aborted) break
          position = item.sequence
          yield item
        }
        if (items.length === itemsPerRead || ending.aborted) continue
        if (!open) return
        await news.promise
      }
    },
    recorded: (jobId) => {
      if (waiters.has(jobId)) touched.add(jobId)
    },
    turned: () => {
      for (const jobId of touched) waiters.wake(jobId)
      touched.clear()
    },
  }
}

const jobItems = (reader: Reader, jobId: string, after: number, limit: number): readonly HistoryItem[] =>
  reader.groupHistory(jobId, after, limit).map((entry) => itemOf(reader, entry))

/** What the kernel writes: a change of state, an event that came to nothing, or a message that was refused. */
interface Recorded {
  readonly event: string
  readonly actor: string
  readonly from?: string | null
  readonly to?: string
  readonly refused?: 'final' | 'not-accepted' | 'equivocation'
  readonly fault?: string
  readonly undeliverable?: { readonly message: string; readonly code: string; readonly reason: string }
  /** How many had come to nothing with this one: the last that was recorded. */
  readonly last?: number
}

const itemOf = (reader: Reader, { sequence, at, kind, id, data }: HistoryEntry): HistoryItem => {
  const { event, actor, from, to, refused, fault, undeliverable, last } = data as unknown as Recorded
  const head = { sequence, at, kind: kind as HistoryItem['kind'], id, ...placeOf(reader, kind, id), event, actor }
  if (to !== undefined) return { ...head, ...(typeof from === 'string' && { from }), to }
  if (undeliverable !== undefined) return { ...head, undeliverable }
  const more = last === undefined ? 0 : refusalsOf(reader, kind, id) - last
  return { ...head, ...(refused !== undefined ? { refused } : { fault: fault ?? '' }), ...(more > 0 && { more }) }
}

const placeOf = (reader: Reader, kind: string, id: string): { readonly shard?: number; readonly node?: string } => {
  if (kind === 'shard') return { shard: shardIndexOf(id) }
  const execution = kind === 'execution' ? (reader.get('execution', id)?.data as unknown as ExecutionContext | undefined) : undefined
  return execution ? { shard: shardIndexOf(execution.shardId), node: execution.node } : {}
}
