// Kills the processes of a network without end, in the folder that is its argument: to be killed itself.
import { program } from '../src/jobs/node-process.ts'
import { killNetworkAgainAndAgain } from '../src/kills/network-kills.ts'

const [, , folder = ''] = process.argv
await killNetworkAgainAndAgain({ kills: Infinity, folder, random: Math.random, note: () => {}, program: [program] })
