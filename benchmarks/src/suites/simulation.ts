import { type Network, type NetworkCost, startNetwork } from '../simulation/network.ts'
import { spread } from '../spread.ts'
import type { Suite } from '../suite.ts'

const figures = {
  executionsPerSecond: 'executions a second of wall time, on the largest network',
  messagesPerExecution10: 'messages an execution on 10 nodes',
  messagesPerExecution10000: 'messages an execution on the largest network (10,000 nodes with --full)',
  costRatio: 'CPU time an execution on the largest network, over that on 10 nodes, turn by turn',
  rssMiB: 'the most memory that the process of the largest network held, MiB',
}

const sum = (costs: readonly NetworkCost[], what: 'executions' | 'wallMs' | 'messages'): number => costs.reduce((all, cost) => all + cost[what], 0)
const cpuEach = ({ cpuMs, executions }: NetworkCost): number => cpuMs / executions

export const suite: Suite = {
  name: 'simulation',
  about: 'Whole networks in one process, in virtual time: what an execution costs, and whether that grows with the network.',
  figures,
  repeat: 1,
  run: async ({ full, smallest, repeat, note }) => {
    const nodes = full ? 10_000 : smallest ? 20 : 1000
    const [executions, turns, each] = full ? [100_000, 10, 1000] : smallest ? [100, 2, 25] : [4000, 5, 400]
    const samples: Record<keyof typeof figures, number[]> = {
      executionsPerSecond: [],
      messagesPerExecution10: [],
      messagesPerExecution10000: [],
      costRatio: [],
      rssMiB: [],
    }

    const start = async (count: number, seed: number): Promise<Network> => {
      const network = await startNetwork(count, seed)
      // What is compiled and found out once is no cost of an execution.
      const { known } = await network.run(each)
      note(`${count} nodes, started in ${(network.startMs / 1000).toFixed(1)} s; the requester knows ${known}`)
      return network
    }

    for (let round = 1; round <= repeat; round++) {
      await using small = await start(10, round)
      await using large = await start(nodes, round)
      const ofSmall: NetworkCost[] = []
      const ofLarge: NetworkCost[] = []
      const ratios: number[] = []
      // By turns, with as much behind them: what else the machine does meets both.
      for (let turn = 1; turn <= turns; turn++) {
        const one = await small.run(each)
        const other = await large.run(each)
        ofSmall.push(one)
        ofLarge.push(other)
        ratios.push(cpuEach(other) / cpuEach(one))
        note(`turn ${turn}: ${cpuEach(one).toFixed(2)} ms of CPU an execution on 10 nodes, ${cpuEach(other).toFixed(2)} on ${nodes}`)
      }
      for (let left = executions - turns * each; left > 0; left -= 10 * each) {
        const cost = await large.run(Math.min(left, 10 * each))
        ofLarge.push(cost)
        note(`${sum(ofLarge, 'executions')} executions on ${nodes} nodes: ${cpuEach(cost).toFixed(2)} ms of CPU each, ${cost.rssMiB.toFixed(0)} MiB`)
      }
      const { median, min, max } = spread(ratios)
      note(`${nodes} nodes over 10: ${median.toFixed(2)} times the CPU time, ${min.toFixed(2)} to ${max.toFixed(2)}`)
      samples.executionsPerSecond.push((sum(ofLarge, 'executions') * 1000) / sum(ofLarge, 'wallMs'))
      samples.messagesPerExecution10.push(sum(ofSmall, 'messages') / sum(ofSmall, 'executions'))
      samples.messagesPerExecution10000.push(sum(ofLarge, 'messages') / sum(ofLarge, 'executions'))
      samples.costRatio.push(...ratios)
      samples.rssMiB.push(ofLarge.at(-1)?.rssMiB ?? Number.NaN)
    }
    return samples
  },
}
