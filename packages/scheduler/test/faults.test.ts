import { describe, test } from 'vitest'
import { replayOf, runSeed } from './fault-run.ts'

const seeds = Number(process.env['SKREI_SEEDS'] ?? 20)
const first = Number(process.env['SKREI_SEED'] ?? 1)

describe('whatever the network and the nodes do, the laws hold and every job comes to an end', () => {
  test.each(Array.from({ length: seeds }, (_, index) => first + index))('seed %i', async (seed) => {
    try {
      await runSeed(seed)
    } catch (error) {
      throw new Error(`${(error as Error).message}\nagain: ${replayOf(seed)}`, { cause: error })
    }
  })
})
