import { type GuestProcess, guestProcess } from './guest-process.ts'

export interface ProcessPool extends AsyncDisposable {
  /** A process that is ready, and nobody else's until it is given back. */
  take(): Promise<GuestProcess>
  /** `clean`: its guest ended by itself, and it may run another. */
  giveBack(taken: GuestProcess, clean: boolean): Promise<void>
  /** Sees to it that as many as are wanted wait ready. Returns at once. */
  fill(): void
}

export const processPool = (options: { readonly warm: number; readonly runsPerProcess: number }): ProcessPool => {
  const idle: GuestProcess[] = []
  const all = new Set<GuestProcess>()
  const runs = new WeakMap<GuestProcess, number>()
  let starting = 0
  let closed = false

  const start = (): GuestProcess => {
    if (closed) throw new Error('the executor is closed')
    const started = guestProcess()
    all.add(started)
    return started
  }
  const end = async (process: GuestProcess): Promise<void> => {
    await process.kill()
    all.delete(process)
  }
  const rest = (process: GuestProcess): void => {
    process.hold(false)
    idle.push(process)
  }
  const fill = (): void => {
    while (!closed && idle.length + starting < options.warm) {
      starting++
      const started = start()
      started.hold(false)
      started.ready
        .then(
          () => (closed ? end(started) : rest(started)),
          // It could not be started: whoever takes one next will be told.
          () => void all.delete(started),
        )
        .finally(() => starting--)
    }
  }

  return {
    fill,
    take: async () => {
      for (let waiting = idle.pop(); waiting !== undefined; waiting = idle.pop()) {
        if (waiting.alive()) {
          waiting.hold(true)
          return waiting
        }
        all.delete(waiting)
      }
      const started = start()
      try {
        await started.ready
      } catch (error) {
        await end(started)
        throw error
      }
      return started
    },
    giveBack: async (taken, clean) => {
      const count = (runs.get(taken) ?? 0) + 1
      runs.set(taken, count)
      if (clean && !closed && taken.alive() && count < options.runsPerProcess && idle.length < options.warm) rest(taken)
      else await end(taken)
      fill()
    },
    [Symbol.asyncDispose]: async () => {
      closed = true
      idle.length = 0
      await Promise.all([...all].map(end))
    },
  }
}
