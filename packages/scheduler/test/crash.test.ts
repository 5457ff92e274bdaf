import { describe, expect, test } from 'vitest'
import type { CrashPoint } from '../src/simulation/index.ts'
import { type Misfortune, nameOf, runMisfortune } from './crash-run.ts'

// All points take minutes: otherwise each run of the suite takes every seventh, as many of each kind.
const stride = process.env['SKREI_EXHAUSTIVE'] === '1' ? 1 : 7
const only = process.env['SKREI_CRASH']

const run = async (nodes: number, misfortune: Misfortune) => {
  try {
    return await runMisfortune(nodes, misfortune)
  } catch (error) {
    const again = `SKREI_CRASH='${nameOf(nodes, misfortune)}' vitest run --dir packages/scheduler crash`
    throw new Error(`${(error as Error).message}\nagain: ${again}`, { cause: error })
  }
}

const all = async (nodes: number, many: number, misfortune: (count: number) => Misfortune): Promise<void> => {
  const broken: string[] = []
  for (let count = 1; count <= many; count += stride) await run(nodes, misfortune(count)).catch((error: Error) => broken.push(error.message))
  expect(broken).toEqual([])
}

describe.skipIf(only !== undefined)('one node crashes at any point of a job, and the job ends as it should', () => {
  const restarts = { requester: ['at once', 'after the lease'], compute: ['at once', 'after the lease', 'never'] } as const
  const cases = [1, 2].flatMap((nodes) =>
    (['requester', 'compute'] as const).flatMap((side) =>
      restarts[side].flatMap((restart) => (nodes === 1 && restart === 'never' ? [] : [[nodes, side, restart] as const])),
    ),
  )
  test.each(cases)(
    '%i compute nodes: the %s crashes and restarts %s',
    async (nodes, side, restart) => {
      const points = await run(nodes, { at: 'nothing' })
      expect(points[side].effect).toBeGreaterThan(0)
      for (const at of ['write', 'commit', 'effect'] satisfies CrashPoint[]) await all(nodes, points[side][at], (count) => ({ at, count, side, restart }))
    },
    600_000,
  )
})

describe.skipIf(only !== undefined)('a job is cancelled at any event', () => {
  test.each([1, 2])(
    '%i compute nodes',
    async (nodes) => {
      const points = await run(nodes, { at: 'nothing' })
      await all(nodes, points.events, (count) => ({ at: 'event', count }))
    },
    600_000,
  )
})

test.skipIf(only === undefined)('one crash again', async () => {
  const [nodes, misfortune] = JSON.parse(only ?? '') as [number, Misfortune]
  await runMisfortune(nodes, misfortune)
})
