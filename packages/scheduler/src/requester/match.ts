import { FailureError, type Reference } from '@skrei/job-spec'
import type { OutboxEntry } from '@skrei/state-store'
import type { Publisher, Workspace } from '@skrei/storage'
import { resultTree } from '@skrei/verifier'
import type { ObjectEvent } from '../kernel/event.ts'

interface MatchData {
  readonly reference: Reference
  readonly digest: string | null
  readonly exit: number | null
}

/** Fetches what was published and compares it with the digest that the node gave, before anything is cleaned up (PROTOCOL.md rule 2). */
export const match = async (
  entry: OutboxEntry,
  publishers: ReadonlyMap<string, Publisher>,
  workspace: Workspace,
  options: { readonly signal: AbortSignal },
): Promise<ObjectEvent> => {
  const { reference, digest, exit } = entry.data as unknown as MatchData
  const publisher = publishers.get(reference.type)
  if (publisher === undefined)
    return { type: 'mismatched', failure: { code: 'publish-failed', detail: `published as ${reference.type}, which this node cannot fetch` } }
  const id = `match-${entry.id}`
  try {
    const into = await workspace.receive(id)
    for await (const _ of publisher.fetch(reference, into, options)) options.signal.throwIfAborted()
    const tree = await resultTree(workspace.entries(id, options), exit ?? 0, options)
    // A failure that the engine reported has logs, but nothing that was promised.
    if (digest === null || tree.digest === digest) return { type: 'matched' }
    return { type: 'mismatched', failure: { code: 'result-mismatch', detail: `published ${tree.digest}, computed ${digest}` } }
  } catch (error) {
    options.signal.throwIfAborted()
    const code = error instanceof FailureError || (error as { code?: unknown }).code === 'output-unsafe' ? 'result-mismatch' : 'publish-failed'
    return { type: 'mismatched', failure: { code, detail: `what was published could not be fetched: ${(error as Error).message}`.slice(0, 4096) } }
  } finally {
    await workspace.remove(id)
  }
}
