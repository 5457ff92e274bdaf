import type { Scheduler, Transition } from '@skrei/scheduler'

export interface NodeMetricsFacts {
  readonly scheduler: Pick<Scheduler, 'standing' | 'watch' | 'nodeId'>
  readonly version: string
  readonly network: string
  readonly knownNodes: () => number
  readonly connectedPeers: () => number
}

/** Counts from the start on; the library that writes them down is loaded by the first who asks. */
export interface NodeMetrics extends Disposable {
  /** Prometheus' text format. */
  text(): Promise<string>
}

/** How often the node's objects came into each state, as it is told. */
export interface Counted {
  readonly jobs: Map<string, number>
  readonly executions: Map<string, number>
}

export const nodeMetrics = (facts: NodeMetricsFacts): NodeMetrics => {
  const counted: Counted = { jobs: new Map(), executions: new Map() }
  const watching = facts.scheduler.watch((event) => {
    if (event.type === 'transition') count(counted, event.transition)
  })
  let writer: Promise<() => Promise<string>> | undefined
  return {
    text: async () => {
      writer ??= import('./metrics-writer.ts').then(({ metricsWriter }) => metricsWriter(facts, counted))
      const write = await writer
      return await write()
    },
    [Symbol.dispose]: () => watching[Symbol.dispose](),
  }
}

const count = ({ jobs, executions }: Counted, { kind, from, to }: Transition): void => {
  const into = kind === 'job' ? jobs : kind === 'compute' ? executions : undefined
  if (into !== undefined && from !== to) into.set(to, (into.get(to) ?? 0) + 1)
}
