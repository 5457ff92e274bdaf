import { describe, test } from 'vitest'
import { replayOf, runSeed } from './fault-run.ts'

const seeds = Number(process.env['SKREI_SEEDS'] ?? 20)
const first = Number(process.env['SKREI_SEED'] ?? 1)
/** In which what waited for the next turn seemed to come of a message that was said again. */
const known = process.env['SKREI_SEED'] === undefined ? [458, 1260] : []

describe('whatever the network and the nodes do, the laws hold and every job comes to an end', () => {
  test.each([...Array.from({ length: seeds }, (_, index) => first + index), ...known])('seed %i', async (seed) => {
    try {
      await runSeed(seed)
    } catch (error) {
      throw new Error(`${(error as Error).message}\nagain: ${replayOf(seed)}`, { cause: error })
    }
  })
})
