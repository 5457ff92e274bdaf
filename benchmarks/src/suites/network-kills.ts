import { buildProgram } from '../jobs/build-program.ts'
import { program } from '../jobs/node-process.ts'
import { killNetworkAgainAndAgain, type NetworkKillsOutcome } from '../kills/network-kills.ts'
import type { Suite } from '../suite.ts'
import { withTemporaryFolder } from '../temporary.ts'

export const suite: Suite = {
  name: 'network-kills',
  about:
    'Two requesters and three compute nodes, each a process of its own, over TCP: they are killed with SIGKILL at random while they take jobs, and started again. Linux only.',
  figures: {
    kills: 'processes that were killed',
    jobsAccepted: 'jobs that were accepted',
    jobsLost: 'of them, those that did not come to their result',
    doubleResults: 'shards with two recorded results, or one that changed',
    processesLeft: 'processes that outlived their node',
    leftovers: 'effects, open objects and folders left in the end',
    faults: 'ends of processes that nobody asked for, and temporary files left',
  },
  repeat: 1,
  run: async ({ full, smallest, repeat, note }) => {
    await buildProgram(note)
    const outcomes: NetworkKillsOutcome[] = []
    for (let round = 1; round <= repeat; round++) {
      const kills = full ? 200 : smallest ? 4 : 50
      const outcome = await withTemporaryFolder((folder) => killNetworkAgainAndAgain({ kills, folder, random: Math.random, note, program: [program] }))
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
