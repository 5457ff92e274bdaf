import type { Scheduler } from '@skrei/scheduler'

/** Prints what one node's shards and executions did, a line for every second in which something happened. */
export const createTimeline = (node: Scheduler, clock: { now(): number }): { mark(what: string): void; end(): void } => {
  const start = clock.now()
  let second = 0
  let counts = new Map<string, number>()

  const print = (): void => {
    const parts = order.flatMap((name) => (counts.has(name) ? [`${counts.get(name)} ${name}`] : []))
    if (parts.length > 0) console.log(`${label(second)}  ${parts.join(', ')}`)
    counts = new Map()
  }
  const label = (seconds: number): string => `${String(seconds).padStart(3)} s`
  const goTo = (now: number): void => {
    const at = Math.floor((now - start) / 1000)
    if (at === second) return
    print()
    second = at
  }

  const watching = node.watch((event) => {
    if (event.type !== 'transition') return
    const { kind, from, to, at } = event.transition
    const name = from === to ? undefined : names[`${kind} ${to}`]
    if (name === undefined) return
    goTo(at)
    counts.set(name, (counts.get(name) ?? 0) + 1)
  })

  return {
    mark: (what) => {
      goTo(clock.now())
      print()
      console.log(`${label(second)}  *** ${what}`)
    },
    end: () => {
      print()
      watching[Symbol.dispose]()
    },
  }
}

const names: Readonly<Record<string, string>> = {
  'job running': 'job planned',
  'execution awarding': 'awarded',
  'execution running': 'accepted by their nodes',
  'execution accepted': 'finished',
  'execution completed': 'published and matched',
  'execution lost': 'lost with their node',
  'shard backoff': 'to be tried again',
  'shard completed': 'shards done',
  'job completed': 'job completed',
  'job failed': 'job failed',
}
const order = [...new Set(Object.values(names))]
