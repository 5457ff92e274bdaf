import { availableParallelism } from 'node:os'
// @boundaries-ignore what breaks the scheduler on purpose stands with its tests, and is published with no package
import { replayOf } from '../../../packages/scheduler/test/fault-run.ts'
// @boundaries-ignore as above
import { brokenIn } from '../../../packages/scheduler/test/mutant-process.ts'
// @boundaries-ignore as above
import { isFoundOut, mutants } from '../../../packages/scheduler/test/mutants.ts'
import { runSeeds } from '../faults/run-seeds.ts'
import type { Suite } from '../suite.ts'

const figures = {
  seeds: 'networks, jobs and faults drawn at random, each from its seed',
  lawsBroken: 'seeds in which a law was broken or a job did not end',
  mutants: 'schedulers that are broken on purpose',
  mutantsCaught: 'of those, how many met a broken law',
}

export const suite: Suite = {
  name: 'faults',
  about: 'Loss, duplication, reordering, partitions, crashes: whether the laws of PROTOCOL.md hold, and whether their breaking is seen.',
  figures,
  repeat: 1,
  interruptible: true,
  run: async ({ full, smallest, note, signal }) => {
    const seeds = full ? 10_000 : smallest ? 3 : 200
    const workers = availableParallelism()
    note(`${seeds} seeds on ${workers} threads`)
    const { done, broken } = await runSeeds({ seeds, workers, note, replay: replayOf, signal })
    let tried = 0
    let caught = 0
    for (const mutant of smallest ? mutants.slice(0, 1) : mutants) {
      const found = await brokenIn(mutant.schedule, mutant.name, { signal }).catch((error: unknown) => {
        if (!signal.aborted) throw error
        return null
      })
      if (signal.aborted) break
      tried++
      if (isFoundOut(mutant, found)) caught++
      else note(`the mutant "${mutant.name}" was not caught`)
    }
    return { seeds: [done], lawsBroken: [broken.length], mutants: [tried], mutantsCaught: [caught] }
  },
}
