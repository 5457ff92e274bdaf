import type { Capacity, Device, Refusal, Task } from '@skrei/job-spec'
import { fitting } from '../directory/fit.ts'
import type { Ledger } from '../kernel/ledger.ts'
import type { ComputeFacts } from '../machines/compute-execution.ts'

/** What the node has, and how much of it executions may hold together: more, where the operator over-subscribes it. */
export interface Limits {
  readonly capacity: Capacity
  readonly together: Capacity
}

/** Never of disk nor of devices: what is not there cannot be written to. Throws where a factor is below 1. */
export const limitsOf = (capacity: Capacity, factors: { readonly cpu?: number; readonly memory?: number } = {}): Limits => {
  for (const [resource, factor] of Object.entries(factors))
    if (factor !== undefined && !(Number.isFinite(factor) && factor >= 1))
      throw new RangeError(`compute.overSubscription.${resource} is ${factor}: it is a factor of the capacity, 1 or more`)
  const { cpu = 1, memory = 1 } = factors
  return { capacity, together: { cpu: Math.floor(capacity.cpu * cpu), memory: Math.floor(capacity.memory * memory), disk: capacity.disk } }
}

/** What a task may still get; nothing, where a restart brought less than is held. */
export const freeOf = ({ capacity, together }: Limits, ledger: Ledger): Capacity => ({
  cpu: Math.min(capacity.cpu, Math.max(0, together.cpu - ledger.cpu)),
  memory: Math.min(capacity.memory, Math.max(0, together.memory - ledger.memory)),
  disk: Math.max(0, together.disk - ledger.disk),
})

/** Whether a task fits into what is free now, and on which devices; or the first reason why not. Pure: decided on the ledger of the same transaction. */
export const allocate = (task: Pick<Task, 'resources'>, limits: Limits, devices: readonly Device[], ledger: Ledger): ComputeFacts['fit'] => {
  const free = freeOf(limits, ledger)
  for (const resource of ['cpu', 'memory', 'disk'] as const) {
    const wanted = task.resources[resource]
    if (wanted > limits.capacity[resource]) return { refusal: refusal('exceeds-node', resource, wanted, limits.capacity[resource]) }
    if (wanted > free[resource]) return { refusal: refusal('busy', resource, wanted, free[resource]) }
  }
  const { count } = task.resources.gpu
  const all = fitting(devices, task.resources.gpu)
  if (count > all.length) return { refusal: refusal('exceeds-node', 'gpu', count, all.length) }
  const unheld = all.filter(({ id }) => ledger.devices[id] === undefined)
  if (count > unheld.length) return { refusal: refusal('busy', 'gpu', count, unheld.length) }
  return { devices: unheld.slice(0, count).map(({ id }) => id) }
}

/** The share of the node that a task takes: of the resource of which it takes most (dominant resource, Ghodsi et al., 2011). */
export const costOf = ({ cpu, memory, disk, gpu }: Task['resources'], { capacity }: Limits, devices: number): number =>
  Math.max(leastCost, part(cpu, capacity.cpu), part(memory, capacity.memory), part(disk, capacity.disk), part(gpu.count, devices))
/** What asks for nothing has its turn as well. */
const leastCost = 1e-6
const part = (wanted: number, all: number): number => (all > 0 ? Math.min(1, wanted / all) : 0)

/** Whether one that waits would have longer to wait if the other were served now: it lacks something then of which the other takes. */
export const delays = (
  waiting: Task['resources'],
  served: Task['resources'] & { readonly devices: readonly string[] },
  limits: Limits,
  devices: readonly Device[],
  ledger: Ledger,
): boolean => {
  for (const resource of ['cpu', 'memory', 'disk'] as const)
    if (served[resource] > 0 && waiting[resource] > limits.together[resource] - ledger[resource] - served[resource]) return true
  if (waiting.gpu.count === 0 || served.devices.length === 0) return false
  const fit = fitting(devices, waiting.gpu)
  const left = fit.filter(({ id }) => ledger.devices[id] === undefined && !served.devices.includes(id))
  return left.length < waiting.gpu.count && fit.some(({ id }) => served.devices.includes(id))
}

const refusal = (code: 'busy' | 'exceeds-node', resource: 'cpu' | 'memory' | 'disk' | 'gpu', wanted: number, available: number): Refusal => ({
  code,
  resource,
  wanted,
  available,
  detail: `${wanted} of ${resource} asked, ${available} ${code === 'busy' ? 'free' : 'in all'}`,
})
