import { setTimeout as pause } from 'node:timers/promises'
import type { Transition } from '@skrei/scheduler'
import type { Counted, NodeMetricsFacts } from './metrics-writer.ts'

/** Counts from the start on; the library that writes them down is loaded by the first who asks. */
export interface NodeMetrics extends Disposable {
  /** Prometheus' text format. */
  text(): Promise<string>
}

/** Until the first answer knows how late the event loop is, which is looked at every 10 ms; milliseconds. */
const firstLook = 50

export const nodeMetrics = (facts: NodeMetricsFacts): NodeMetrics => {
  const counted: Counted = { jobs: new Map(), executions: new Map() }
  const watching = facts.scheduler.watch((event) => {
    if (event.type === 'transition') count(counted, event.transition)
  })
  let writer: Promise<() => Promise<string>> | undefined
  return {
    text: async () => {
      writer ??= import('./metrics-writer.ts').then(async ({ metricsWriter }) => {
        const begun = metricsWriter(facts, counted)
        await pause(firstLook)
        return begun
      })
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
