import type { Reference } from '@skrei/job-spec'
import type { Publisher, Workspace } from '@skrei/storage'

/** A message that names more is too long to be said again in the same bytes (`kernel/slots.ts`); characters. */
const longestReference = 384
const streams = ['stdout', 'stderr'] as const

/**
 * Publishes what an execution that has ended wrote to its streams, and nothing else of it, beside where its result would be. Undefined where it wrote nothing, or where nothing
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
  async function* content(name: (typeof streams)[number]): AsyncGenerator<Uint8Array> {
    for await (const bytes of workspace.tail(id, name, 0, { signal })) {
      signal.throwIfAborted()
      yield bytes
    }
    // An aborted tail ends like one that is complete.
    signal.throwIfAborted()
  }
  const written: (typeof streams)[number][] = []
  for (const name of streams) {
    for await (const { length } of content(name)) {
      if (length > 0) written.push(name)
      break
    }
  }
  if (written.length === 0) return undefined
  async function* entries() {
    for (const path of written) yield { path, content: content(path) }
  }
  const reference = await publisher.compose(`${id}-logs`, entries(), { signal })
  return JSON.stringify(reference).length <= longestReference ? reference : undefined
}
