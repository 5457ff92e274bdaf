import { FailureError, type Reference, type Task } from '@skrei/job-spec'
import type { OutboxEntry } from '@skrei/state-store'
import type { Publisher, Workspace } from '@skrei/storage'
import { resultTree } from '@skrei/verifier'
import { mostEvidence } from '../compute/evidence.ts'
import type { ObjectEvent } from '../kernel/event.ts'

interface MatchData {
  readonly reference: Reference
  readonly digest: string | null
  readonly exit: number | null
}

/** What is published has its own framing: names, directories, blocks. */
const framing = 2 ** 20
const framingShare = 1 / 16

/** More than this an execution cannot have left: it has `resources.disk` for its files, and its streams and evidence have their caps. */
export const mostPublished = ({ resources, limits }: Pick<Task, 'resources' | 'limits'>): number =>
  (resources.disk + limits.stdout + limits.stderr + mostEvidence) * (1 + framingShare) + framing

/** Fetches what was published and compares it with the digest that the node gave, before anything is cleaned up (PROTOCOL.md rule 2). No more than `most` bytes: whoever published it may be a liar. */
export const match = async (
  entry: OutboxEntry,
  publishers: ReadonlyMap<string, Publisher>,
  workspace: Workspace,
  most: number,
  options: { readonly signal: AbortSignal },
): Promise<ObjectEvent> => {
  const { reference, digest, exit } = entry.data as unknown as MatchData
  const publisher = publishers.get(reference.type)
  if (publisher === undefined)
    return { type: 'mismatched', failure: { code: 'publish-failed', detail: `published as ${reference.type}, which this node cannot fetch` } }
  const id = `match-${entry.id}`
  try {
    const into = await workspace.receive(id)
    for await (const bytes of publisher.fetch(reference, into, options)) {
      options.signal.throwIfAborted()
      if (bytes > most)
        return {
          type: 'mismatched',
          failure: { code: 'result-mismatch', detail: `what was published is larger than its task could leave: over ${Math.floor(most)} bytes` },
        }
    }
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
