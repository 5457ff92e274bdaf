import type { InputSpec } from '@skrei/job-spec'
import type { Source } from '@skrei/storage'
import type { Clock } from '@skrei/transport'

/** A job remembers no more nodes that hold its data. */
const most = 64
/** Longer than any node id. */
const longestId = 128
/** Where data lies is worth knowing, not worth waiting for. */
const within = 3000

/**
 * Ids of nodes that hold the job's inputs, as the sources say it: those that come first within a few seconds, each once. What sources say here is a hint: one that fails, or says
 * nothing in time, costs only that time.
 */
export const locateInputs = async (
  inputs: readonly InputSpec[],
  sources: ReadonlyMap<string, Source>,
  clock: Clock,
  { signal }: { readonly signal: AbortSignal },
): Promise<readonly string[]> => {
  const asked = inputs.flatMap(({ source }) => {
    const driver = sources.get(source.type)
    return driver?.locate === undefined ? [] : [{ driver, source }]
  })
  if (asked.length === 0) return []
  const found = new Set<string>()
  const ending = new AbortController()
  const ended = Promise.withResolvers<void>()
  const end = (): void => {
    ending.abort(new DOMException('enough was located', 'AbortError'))
    ended.resolve()
  }
  const locate = async ({ driver, source }: (typeof asked)[number]): Promise<void> => {
    for await (const node of driver.locate?.(source, { signal: ending.signal }) ?? []) {
      if (ending.signal.aborted) return
      if (typeof node === 'string' && node.length > 0 && node.length <= longestId) found.add(node)
      if (found.size >= most) return end()
    }
  }
  using _alarm = clock.at(clock.now() + within, end)
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  try {
    // A driver that does not heed the signal is left behind.
    await Promise.race([Promise.allSettled(asked.map(locate)), ended.promise])
  } finally {
    signal.removeEventListener('abort', end)
    end()
  }
  signal.throwIfAborted()
  return [...found]
}
