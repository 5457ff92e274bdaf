import { memoryStateStore } from '@skrei/state-store/memory'
import { virtualClock } from '@skrei/transport/memory'
import { expect, test } from 'vitest'
import { createKernel } from '../src/kernel/kernel.ts'
import type { TurnContext } from '../src/kernel/turn.ts'

test('a store that is closed under a running kernel rejects those who wait and reports the rest: nothing is thrown at nobody', async () => {
  const reported: string[] = []
  const context: TurnContext = {
    kinds: {},
    encode: () => new Uint8Array(),
    incarnation: () => ({ counter: 1, id: '0'.repeat(16) }),
    equivocated: () => {},
    freed: () => [],
    undone: () => {
      throw new Error('the rows cannot be read again')
    },
    fault: () => {},
    held: () => undefined,
    refusals: 10,
    recorded: () => {},
    report: (error) => void reported.push(error instanceof Error ? error.message : String(error)),
  }
  const store = memoryStateStore()
  const kernel = createKernel({ store, clock: virtualClock(), context, beforeTurn: () => {} })
  kernel.start()
  store[Symbol.dispose]()
  await expect(kernel.submit([])).rejects.toThrow(/disposed/)
  expect(reported).toEqual(['the rows cannot be read again', expect.stringContaining('disposed')])
  kernel.stop()
})
