import type { Reference } from '@skrei/job-spec'
import type { Publisher, Workspace } from '@skrei/storage'
import type { Clock } from '@skrei/transport'
import { mostEvidence } from '../compute/evidence.ts'
import { type WrittenStream, writtenStreams } from '../written-streams.ts'

/** Logs are worth a moment, not the result: for one execution's, and for all of a job; milliseconds. */
const within = 5000
const altogether = 60_000

/** The logs of executions that left no result, fetched here for the composition. */
export interface LogFetcher {
  /** Each stream that there is; none where they cannot be had in time, or are larger than the job allows. Never throws but for the signal. */
  fetch(shard: string, logs: Reference): Promise<readonly WrittenStream[]>
  /** Removes what was fetched. */
  close(): Promise<void>
}

/**
 * What a node refers to as logs is its word alone: nobody matched it with a digest. So nothing of it is referred to from the result; its few files are fetched, within bounds of
 * bytes and time, and become the requester's own.
 */
export const createLogFetcher = (
  {
    publisher,
    workspace,
    clock,
    limits,
  }: {
    readonly publisher: Publisher
    readonly workspace: Workspace
    readonly clock: Clock
    readonly limits: { readonly stdout: number; readonly stderr: number }
  },
  { signal }: { readonly signal: AbortSignal },
): LogFetcher => {
  const most: Readonly<Record<string, number>> = { stdout: limits.stdout, stderr: limits.stderr, evidence: mostEvidence }
  const until = clock.now() + altogether
  const fetched: string[] = []

  const bring = async (id: string, logs: Reference, ending: AbortSignal): Promise<void> => {
    const into = await workspace.receive(id)
    for await (const bytes of publisher.fetch(logs, into, { signal: ending })) {
      ending.throwIfAborted()
      if (bytes > limits.stdout + limits.stderr + mostEvidence) throw new Error(`the logs of ${id} are larger than the job allows`)
    }
    await workspace.seal(id)
  }

  return {
    fetch: async (shard, logs) => {
      if (logs.type !== publisher.type || clock.now() >= until) return []
      const id = `logs-${shard}`
      fetched.push(id)
      const ending = new AbortController()
      const late = Promise.withResolvers<never>()
      using _alarm = clock.at(Math.min(until, clock.now() + within), () => {
        ending.abort(new DOMException('the logs were not fetched in time', 'TimeoutError'))
        late.reject(ending.signal.reason)
      })
      late.promise.catch(() => {})
      try {
        const bringing = bring(id, logs, AbortSignal.any([signal, ending.signal]))
        // A driver that does not heed its signal is left behind.
        bringing.catch(() => {})
        await Promise.race([bringing, late.promise])
      } catch {
        signal.throwIfAborted()
        return []
      }
      const written = await writtenStreams(workspace, id, { signal })
      for (const { path, content } of written) if ((await lengthOf(content)) > (most[path] ?? 0)) return []
      return written
    },
    close: async () => {
      for (const id of fetched) await workspace.remove(id)
    },
  }
}

const lengthOf = async (content: AsyncIterable<Uint8Array>): Promise<number> => {
  let length = 0
  for await (const bytes of content) length += bytes.length
  return length
}
