import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { apiClient } from '@skrei/api/client'
import { printJob, readJob } from '@skrei/job-spec'
import { seededRandom } from '@skrei/scheduler/simulation'
import { expect } from 'vitest'
import { bundledMain } from './bundle.ts'
import { namesIn, place } from './command-line.ts'
import { engine, note, onEngine, socket } from './docker-engine.ts'
import { type RunningNode, startNode } from './running-node.ts'

// SKREI_KILLS and SKREI_SEED run other kills, and more of them: a failure names its seed.
const kills = Number(process.env['SKREI_KILLS'] ?? 4)
const seed = Number(process.env['SKREI_SEED'] ?? Date.now() % 1e6)

const jobText = (index: number): string =>
  [
    'apiVersion: skrei/v1',
    `engine: { type: docker, image: busybox, pull: never, entrypoint: [sh, -c, "echo ${index} > /outputs/answer; sleep 0.${index % 10}"] }`,
    'outputs: [{ name: outputs, path: /outputs }]',
    'publisher: { type: ipfs }',
    'resources: { cpu: 100m, memory: 32Mi, disk: 4Mi }',
    'retry: { attempts: 100, perNode: 100, backoff: 50ms }',
    '',
  ].join('\n')

onEngine(
  `a node that is killed again and again while it runs containers completes every job, and leaves nothing on the engine and the disk${note}`,
  async () => {
    using here = place({ DOCKER_HOST: socket }, bundledMain())
    const random = seededRandom(seed)
    const ids: string[] = []
    const submit = async ({ api }: RunningNode): Promise<void> => {
      const read = readJob(jobText(ids.length), { file: 'job.yaml' })
      if (!read.ok) throw new Error(read.problems[0]?.message)
      ids.push((await apiClient({ url: api }).submit(printJob(read.spec, 'json'))).job.id)
    }
    let node = await startNode(here)
    const { nodeId } = node
    for (let kill = 0; kill < kills; kill++) {
      await submit(node)
      await submit(node)
      await pause(random() * 1500)
      await node.end('SIGKILL')
      node = await startNode(here)
    }
    const client = apiClient({ url: node.api })
    for (const id of ids) expect([seed, (await client.finished(id)).state]).toEqual([seed, 'completed'])
    for (;;) {
      const { standing } = await client.node()
      if (standing.executions === 0 && standing.kept === 0) break
      await pause(50)
    }
    expect((await node.end()).code).toBe(0)
    const label = ['--filter', `label=skrei.node=${nodeId}`]
    const left = [engine('ps', '--all', '--quiet', ...label), engine('volume', 'ls', '--quiet', ...label), engine('network', 'ls', '--quiet', ...label)]
    expect([seed, left]).toEqual([seed, ['', '', '']])
    expect([seed, namesIn(join(here.home, 'node', 'workspace'))]).toEqual([seed, []])
    here.clean()
  },
  kills * 15_000 + 120_000,
)
