import { type Capacity, type Device, deviceFits, matches, parseSelector, type Refusal, type Task, refusals as table } from '@skrei/job-spec'

/** What a node is and has, as far as a decision about a task needs it. The same rule serves the requester (from an announcement) and the node itself. */
export interface NodeOffer {
  readonly engines: readonly string[]
  readonly sources: readonly string[]
  readonly publishers: readonly string[]
  readonly capacity: Capacity
  readonly devices: readonly Device[]
  readonly labels: Readonly<Record<string, string>>
}

export interface Wanted {
  readonly task: Task
  readonly constraints: readonly string[]
  readonly sources: readonly string[]
  readonly publisher: string
}

const units = { cpu: 'milli-CPU', memory: 'bytes', disk: 'bytes' } as const

/** Why a node of this kind could never run the task; `[]` = it could, when it has room. */
export const misfits = (node: NodeOffer, wanted: Wanted): readonly Refusal[] => {
  const { task } = wanted
  const refusals: Refusal[] = []
  if (!node.engines.includes(task.engine.type)) refusals.push({ code: 'engine-unavailable', detail: `no engine ${task.engine.type}` })
  for (const constraint of wanted.constraints)
    if (!satisfies(constraint, node.labels)) refusals.push({ code: 'constraint', detail: `my labels do not satisfy "${constraint}"` })
  for (const source of new Set(wanted.sources))
    if (!node.sources.includes(source)) refusals.push({ code: 'source-unsupported', detail: `no driver for sources of type ${source}` })
  if (!node.publishers.includes(wanted.publisher)) refusals.push({ code: 'publisher-unsupported', detail: `no driver for the publisher ${wanted.publisher}` })
  for (const resource of ['cpu', 'memory', 'disk'] as const) {
    const [want, have] = [task.resources[resource], node.capacity[resource]]
    if (want > have)
      refusals.push({
        code: 'exceeds-node',
        resource,
        wanted: want,
        available: have,
        detail: `${want} ${units[resource]} of ${resource} asked, ${have} in all`,
      })
  }
  const gpus = fitting(node.devices, task.resources.gpu).length
  if (task.resources.gpu.count > gpus) {
    refusals.push({
      code: 'exceeds-node',
      resource: 'gpu',
      wanted: task.resources.gpu.count,
      available: gpus,
      detail: `${task.resources.gpu.count} fitting GPUs asked, ${gpus} in all`,
    })
  }
  return refusals
}

/** The devices that satisfy a request, in the order of the inventory. */
export const fitting = (devices: readonly Device[], gpu: Task['resources']['gpu']): readonly Device[] => devices.filter(deviceFits(gpu))

/** Whether a node could never run this, whatever becomes free. */
export const isPermanent = (refusals: readonly Refusal[]): boolean => refusals.some(({ code }) => table[code].permanent)

/** Whether labels satisfy a selector as written; a malformed one is satisfied by nobody. */
export const satisfies = (selector: string, labels: Readonly<Record<string, string>>): boolean => {
  const parsed = parseSelector(selector)
  return parsed.ok && matches(parsed.selector, labels)
}
