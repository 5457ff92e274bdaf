export type Write = (begin: () => Promise<void>) => Promise<void>

/**
 * Work that writes without a wait for each write: `write` resolves once there is room for one more beside those that run, at most `most`. Ends when none runs any more, and rejects with the reason of the
 * first that failed; nothing is begun after it.
 */
export const writingBehind = async <T>(most: number, work: (write: Write) => Promise<T>): Promise<T> => {
  const running = new Set<Promise<void>>()
  let failed: { readonly error: unknown } | undefined
  const write: Write = async (begin) => {
    while (running.size >= most) await Promise.race(running)
    if (failed !== undefined) throw failed.error
    const one: Promise<void> = begin()
      .catch((error: unknown) => {
        failed ??= { error }
      })
      .finally(() => running.delete(one))
    running.add(one)
  }
  try {
    const result = await work(write)
    await Promise.all(running)
    if (failed !== undefined) throw failed.error
    return result
  } finally {
    await Promise.all(running)
  }
}
