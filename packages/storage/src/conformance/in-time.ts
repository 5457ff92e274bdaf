/** Milliseconds that a case may take where its suite is told nothing else. */
export const defaultDeadline = 30_000

/** Rejects by the case's name where a driver hangs. What it does then goes on unwatched. */
export const inTime = async <T>(name: string, deadline: number, work: Promise<T>): Promise<T> => {
  const { promise, reject } = Promise.withResolvers<never>()
  const late = (): void => reject(new Error(`"${name}" has not ended within ${deadline} ms: the driver hangs, or needs a longer deadline`))
  const timer = setTimeout(late, deadline)
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
  }
}
