import type { Device } from '@skrei/job-spec'
import type { NodeOffer } from '@skrei/scheduler'
import { machineCapacity, machineLabels } from './capacity.ts'

/** What the node that `skrei run` starts is and has, without starting it; `engines` by their names, and their devices. A test holds it to what such a node announces. */
export const embeddedOffer = async (home: string, engines: readonly string[], devices: readonly Device[] = []): Promise<NodeOffer> => ({
  engines,
  sources: ['local', 'inline', 'https', 'ipfs'],
  publishers: ['ipfs', 'local', 'none'],
  capacity: await machineCapacity(home),
  devices,
  labels: machineLabels(),
})
