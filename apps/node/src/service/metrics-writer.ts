import type { Scheduler } from '@skrei/scheduler'
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'

export interface NodeMetricsFacts {
  readonly scheduler: Pick<Scheduler, 'standing' | 'watch' | 'nodeId'>
  readonly version: string
  readonly network: string
  readonly knownNodes: () => number
  readonly connectedPeers: () => number
}

/** How often the node's objects came into each state, as it is told. */
export interface Counted {
  readonly jobs: Map<string, number>
  readonly executions: Map<string, number>
}

/** Writes down what a node counts and is, in Prometheus' text format: a registry of this node's own. */
export const metricsWriter = ({ scheduler, version, network, knownNodes, connectedPeers }: NodeMetricsFacts, counted: Counted): (() => Promise<string>) => {
  const registry = new Registry()
  const registers = [registry]
  const gauge = (name: string, help: string, value: () => number | undefined): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        const now = value()
        if (now !== undefined) this.set(now)
      },
    })
  }
  const states = (name: string, help: string, from: ReadonlyMap<string, number>): void => {
    new Counter({
      name,
      help,
      labelNames: ['state'],
      registers,
      collect() {
        this.reset()
        for (const [state, value] of from) this.inc({ state }, value)
      },
    })
  }
  const resources = (name: string, help: string, of: () => Readonly<Record<'cpu' | 'memory' | 'disk', number>> | undefined): void => {
    new Gauge({
      name,
      help,
      labelNames: ['resource'],
      registers,
      collect() {
        const now = of()
        if (now === undefined) return
        this.set({ resource: 'cpu' }, now.cpu / 1000)
        this.set({ resource: 'memory' }, now.memory)
        this.set({ resource: 'disk' }, now.disk)
      },
    })
  }
  new Gauge({ name: 'skrei_node_info', help: 'The node: always 1.', labelNames: ['node', 'version', 'network'], registers }).set(
    { node: scheduler.nodeId, version, network },
    1,
  )
  states('skrei_jobs_total', 'Jobs of this requester that came into a state, since it started.', counted.jobs)
  states('skrei_executions_total', 'Executions of this compute node that came into a state, since it started.', counted.executions)
  gauge('skrei_jobs_open', 'Jobs of this requester that are not over.', () => scheduler.standing().jobs.open)
  gauge('skrei_executions_running', 'Awarded executions here that are not done.', () => scheduler.standing().executions)
  gauge('skrei_executions_kept', 'Executions here that are done, and kept until their requesters settle them.', () => scheduler.standing().kept)
  gauge('skrei_asks_queued', 'Asks that wait for room here.', () => scheduler.standing().queued)
  gauge('skrei_messages_unsent', 'Messages to other nodes that have not been acknowledged yet.', () => scheduler.standing().unsent)
  gauge('skrei_nodes_known', 'Nodes that this one has heard of, itself included.', knownNodes)
  gauge('skrei_peers_connected', 'Peers that this node is connected to.', connectedPeers)
  const unit = 'cores, bytes, bytes'
  resources('skrei_capacity', `What executions may hold together: ${unit}.`, () => scheduler.standing().capacity)
  resources('skrei_free', `What a task may still get: ${unit}.`, () => scheduler.standing().free)
  resources('skrei_reserved', `What bids and executions hold: ${unit}.`, () => {
    const { capacity, free } = scheduler.standing()
    return capacity && free && { cpu: capacity.cpu - free.cpu, memory: capacity.memory - free.memory, disk: capacity.disk - free.disk }
  })
  collectDefaultMetrics({ register: registry })
  // These count from now on, and the process is as old as the node.
  const { user, system } = process.cpuUsage()
  for (const [name, time] of [
    ['process_cpu_user_seconds_total', user],
    ['process_cpu_system_seconds_total', system],
    ['process_cpu_seconds_total', user + system],
  ] as const) {
    const counter = registry.getSingleMetric(name)
    if (counter instanceof Counter) counter.inc(time / 1e6)
  }
  return () => registry.metrics()
}
