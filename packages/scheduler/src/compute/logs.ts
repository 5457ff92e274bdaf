import type { Reference } from '@skrei/job-spec'
import type { Publisher, Workspace } from '@skrei/storage'
import { writtenStreams } from '../written-streams.ts'

/** A message that names more is too long to be said again in the same bytes (`kernel/slots.ts`); characters. */
const longestReference = 384

/**
 * Publishes what an execution that has ended wrote to its streams, and its evidence, and nothing else of it, beside where its result would be. Undefined where it wrote nothing, or where nothing
 * is published. The executor bounds what it writes by `limits`.
 */
export const publishLogs = async (
  id: string,
  publisher: Publisher | undefined,
  workspace: Workspace,
  { signal }: { readonly signal: AbortSignal },
): Promise<Reference | undefined> => {
  if (publisher === undefined) return undefined
  // Nobody writes any more: what reads it comes to an end.
  await workspace.seal(id)
  const written = await writtenStreams(workspace, id, { signal })
  if (written.length === 0) return undefined
  async function* entries() {
    yield* written
  }
  const reference = await publisher.compose(`${id}-logs`, entries(), { signal })
  return JSON.stringify(reference).length <= longestReference ? reference : undefined
}
