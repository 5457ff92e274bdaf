/**
 * Works on up to `concurrency` items at a time and gives the results in the order of the items. Stops taking items once a piece of work has failed or the
 * consumer has left, and ends only when no work is left running.
 */
export async function* readAhead<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  concurrency: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R, void, undefined> {
  const running: Promise<R>[] = []
  try {
    for await (const item of items) {
      const started = work(item)
      // It is awaited in its turn; until then its failure must not count as unhandled.
      started.catch(() => undefined)
      running.push(started)
      if (running.length < concurrency) continue
      const first = running.shift()
      if (first !== undefined) yield await first
    }
    for (let first = running.shift(); first !== undefined; first = running.shift()) yield await first
  } finally {
    await Promise.allSettled(running)
  }
}
