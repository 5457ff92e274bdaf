import type { StreamName, Workspace } from '@skrei/storage'

export interface WrittenStream {
  /** `stdout`, `stderr` or `evidence`. */
  readonly path: string
  /** Can be gone through more than once. */
  readonly content: AsyncIterable<Uint8Array>
}

/** The streams of a sealed execution that hold anything; one whose signal is aborted ends with the signal's reason, not like one that is complete. */
export const writtenStreams = async (workspace: Workspace, id: string, { signal }: { readonly signal: AbortSignal }): Promise<readonly WrittenStream[]> => {
  async function* content(name: StreamName): AsyncGenerator<Uint8Array> {
    for await (const bytes of workspace.tail(id, name, 0, { signal })) {
      signal.throwIfAborted()
      yield bytes
    }
    signal.throwIfAborted()
  }
  const written: WrittenStream[] = []
  for (const path of ['stdout', 'stderr', 'evidence'] as const) {
    for await (const { length } of content(path)) {
      if (length > 0) written.push({ path, content: { [Symbol.asyncIterator]: () => content(path) } })
      break
    }
  }
  return written
}
