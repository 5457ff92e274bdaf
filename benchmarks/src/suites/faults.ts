import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
// @boundaries-ignore what breaks the scheduler on purpose stands with its tests, and is published with no package
import { runSeed } from '../../../packages/scheduler/test/fault-run.ts'
// @boundaries-ignore as above
import { isFoundOut, type Mutant, mutants } from '../../../packages/scheduler/test/mutants.ts'
import type { Suite } from '../suite.ts'

const testOf = (name: string): URL => new URL(`../../../packages/scheduler/test/${name}`, import.meta.url)

/** Whether the schedule that is meant for a mutant meets a broken law with it. */
const isCaught = async (mutant: Mutant): Promise<boolean> => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--conditions=@skrei/source', '--import', testOf('mutant-loader.ts').href, fileURLToPath(testOf('mutant-run.ts')), mutant.schedule],
    { env: { ...process.env, SKREI_MUTANT: mutant.name } },
  )
  return isFoundOut(mutant, (JSON.parse(stdout) as { readonly broken: string | null }).broken)
}

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
  run: async ({ full, smallest, note }) => {
    const seeds = full ? 10_000 : smallest ? 3 : 200
    const broken: number[] = []
    for (let seed = 1; seed <= seeds; seed++) {
      try {
        await runSeed(seed)
      } catch (error) {
        broken.push(seed)
        note(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`)
      }
      if (seed % 500 === 0) note(`${seed} of ${seeds} seeds, ${broken.length} with a broken law`)
    }
    const tried = smallest ? mutants.slice(0, 1) : mutants
    let caught = 0
    for (const mutant of tried) {
      if (await isCaught(mutant)) caught++
      else note(`the mutant "${mutant.name}" was not caught`)
    }
    return { seeds: [seeds], lawsBroken: [broken.length], mutants: [tried.length], mutantsCaught: [caught] }
  },
}
