import type { Capacity, Device, Refusal, Task } from '@skrei/job-spec'
import { fitting } from '../directory/fit.ts'
import type { Ledger } from '../kernel/ledger.ts'
import type { ComputeFacts } from '../machines/compute-execution.ts'

/** What is left of the node's capacity; nothing, where a restart brought less than is held. */
export const freeOf = (capacity: Capacity, ledger: Ledger): Capacity => ({
  cpu: Math.max(0, capacity.cpu - ledger.cpu),
  memory: Math.max(0, capacity.memory - ledger.memory),
  disk: Math.max(0, capacity.disk - ledger.disk),
})

/** Whether a task fits into what is free now, and on which devices; or the first reason why not. Pure: decided on the ledger of the same transaction. */
export const allocate = (task: Task, capacity: Capacity, devices: readonly Device[], ledger: Ledger): ComputeFacts['fit'] => {
  const free = freeOf(capacity, ledger)
  for (const resource of ['cpu', 'memory', 'disk'] as const) {
    const wanted = task.resources[resource]
    if (wanted > capacity[resource]) return { refusal: refusal('exceeds-node', resource, wanted, capacity[resource]) }
    if (wanted > free[resource]) return { refusal: refusal('busy', resource, wanted, free[resource]) }
  }
  const { count } = task.resources.gpu
  const all = fitting(devices, task.resources.gpu)
  if (count > all.length) return { refusal: refusal('exceeds-node', 'gpu', count, all.length) }
  const unheld = all.filter(({ id }) => ledger.devices[id] === undefined)
  if (count > unheld.length) return { refusal: refusal('busy', 'gpu', count, unheld.length) }
  return { devices: unheld.slice(0, count).map(({ id }) => id) }
}

const refusal = (code: 'busy' | 'exceeds-node', resource: 'cpu' | 'memory' | 'disk' | 'gpu', wanted: number, available: number): Refusal => ({
  code,
  resource,
  wanted,
  available,
  detail: `${wanted} of ${resource} asked, ${available} ${code === 'busy' ? 'free' : 'in all'}`,
})
