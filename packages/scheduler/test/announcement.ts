import type { Announcement } from '@skrei/protocol'
import type { Wanted } from '../src/directory/fit.ts'

/** A node that could run most things. */
export const announcement = (node: string, change: Partial<Announcement> = {}): Announcement => ({
  network: 'test',
  node,
  incarnation: { counter: 1, id: '0'.repeat(16) },
  counter: 1,
  issuedAt: 0,
  ttl: 1000,
  engines: [{ name: 'noop', version: '1' }],
  sources: ['inline'],
  publishers: ['ipfs'],
  capacity: { cpu: 1000, memory: 2 ** 30, disk: 2 ** 30 },
  free: { cpu: 1000, memory: 2 ** 30, disk: 2 ** 30 },
  devices: [],
  labels: {},
  ...change,
})

/** A task that such a node could run. */
export const wanted = (change: Partial<Wanted['task']['resources']> = {}, constraints: readonly string[] = []): Wanted => ({
  task: {
    specCid: 'b',
    engine: { type: 'noop' },
    env: {},
    outputs: [],
    resources: { cpu: 500, memory: 1024, disk: 1024, gpu: { count: 0 }, ...change },
    limits: { stdout: 1, stderr: 1, files: 1 },
    network: { mode: 'none' },
    timeout: 1000,
  },
  constraints,
  sources: ['inline'],
  publisher: 'ipfs',
})
