import { type KillsOutcome, killAgainAndAgain } from '../kills/kills.ts'
import type { Suite } from '../suite.ts'
import { withTemporaryFolder } from '../temporary.ts'

export const suite: Suite = {
  name: 'kills',
  about: 'A node with its SQLite store and WebAssembly guests is killed with SIGKILL at random points while it works, and started again. Linux only.',
  figures: {
    kills: 'times that the node was killed',
    jobsAccepted: 'jobs that it had accepted',
    jobsLost: 'of them, those that did not come to their result',
    doubleResults: 'shards with two recorded results, or one that changed',
    processesLeft: 'processes that outlived their node',
    leftovers: 'effects, open objects and folders left in the end',
    faults: 'errors inside the node',
  },
  repeat: 1,
  run: async ({ full, smallest, repeat, note }) => {
    const outcomes: KillsOutcome[] = []
    for (let round = 1; round <= repeat; round++) {
      const outcome = await withTemporaryFolder((folder) => killAgainAndAgain({ kills: full ? 200 : smallest ? 2 : 20, folder, random: Math.random, note }))
      const { jobsLost, doubleResults, processesLeft, leftovers, faults } = outcome
      for (const problem of [jobsLost, doubleResults, processesLeft, leftovers, faults].flatMap((list) => list.slice(0, 20))) note(problem)
      outcomes.push(outcome)
    }
    const counts = (list: 'jobsLost' | 'doubleResults' | 'processesLeft' | 'leftovers' | 'faults'): number[] => outcomes.map((outcome) => outcome[list].length)
    return {
      kills: outcomes.map(({ kills }) => kills),
      jobsAccepted: outcomes.map(({ jobsAccepted }) => jobsAccepted),
      jobsLost: counts('jobsLost'),
      doubleResults: counts('doubleResults'),
      processesLeft: counts('processesLeft'),
      leftovers: counts('leftovers'),
      faults: counts('faults'),
    }
  },
}
