import { memoryStateStore } from '@skrei/state-store/memory'
import { memoryNetwork, virtualClock } from '@skrei/transport/memory'
import { expect, test } from 'vitest'
import { createScheduler } from '../src/scheduler.ts'
import { memoryWorkspace } from '../src/simulation/fakes.ts'

test('a store with executions that are not over is not started without the compute role, and nothing has happened then', async () => {
  const clock = virtualClock({ start: 0 })
  const store = memoryStateStore()
  const row = { kind: 'compute', id: 'e', parent: 'peer', state: 'running', version: 1, data: {} }
  store.transact((transaction) => transaction.put({ ...row, open: true }))
  const transport = memoryNetwork({ clock, seed: 1 }).join('n')
  const node = createScheduler({
    network: 'test',
    identity: { nodeId: 'n', sign: () => new Uint8Array(64) },
    check: () => true,
    clock,
    random: () => 0.5,
    jobId: () => 'j',
    store,
    transport,
    workspace: memoryWorkspace(new Map()),
    sources: [],
    publishers: [],
  })
  await expect(node.start()).rejects.toMatchObject({ name: 'StartError', code: 'compute-missing' })
  expect(store.read((reader) => reader.get('node', 'self'))).toBeUndefined()
  // What is over is only remembered.
  store.transact((transaction) => transaction.put({ ...row, state: 'done', open: false }))
  await node.start()
  await node.stop()
})
