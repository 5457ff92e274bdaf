import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { buildProgram } from '../jobs/build-program.ts'
import { rssMiB, startNode } from '../jobs/node-process.ts'
import { quantile } from '../spread.ts'
import { type Suite, samplesOf } from '../suite.ts'
import { withTemporaryFolder } from '../temporary.ts'

const execute = promisify(execFile)

const figures = {
  overheadMs:
    'ms that a job of one short container takes more than `docker run --rm` of the same, from the request to the answer that its result is published, by turns, median less median',
  parallelRatio: 'time for ten such jobs at once, by that of ten `docker run --rm` at once, median of turns',
  rssGrowthMiB: 'what the node holds more after the second half of many short containers, one after the other, than after the first, resident, MiB',
  filesGrowth: 'file descriptors of the node more after these: should be 0',
  containersLeft: 'containers of the node after these: should be 0',
}

const image = 'busybox'
/** Writes something to be kept: only then is something published. */
const script = 'echo done > /outputs/result'
const job = JSON.stringify({
  apiVersion: 'skrei/v1',
  engine: { type: 'docker', image, entrypoint: ['sh', '-c', script], pull: 'never' },
  outputs: [{ name: 'outputs', path: '/outputs' }],
  resources: { cpu: '100m', memory: '16Mi', disk: '1Mi' },
  publisher: { type: 'ipfs' },
})

const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const began = performance.now()
  await work()
  return performance.now() - began
}

const runJob = async (api: string): Promise<string> => {
  const answer = await fetch(`${api}/api/v1/jobs?wait=60`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: job })
  const text = await answer.text()
  const { id, state } = JSON.parse(text) as { readonly id: string; readonly state: string }
  if (answer.status !== 201 || state !== 'completed') throw new Error(`a job came to ${answer.status} ${text}`)
  return id
}

/** The same limits, so that the engine has as much to set up. */
const limits = [
  '--network',
  'none',
  '--read-only',
  '--tmpfs',
  '/tmp',
  '--cap-drop',
  'ALL',
  '--security-opt',
  'no-new-privileges',
  '--cpus',
  '0.1',
  '--memory',
  '16m',
  '--pids-limit',
  '512',
  '--user',
  '65534:65534',
]
/** The command line also removes the container before it ends; the node does so when it has answered. */
const runCommand = (outputs: string): Promise<unknown> =>
  execute('docker', ['run', '--rm', ...limits, '--mount', `type=bind,source=${outputs},target=/outputs`, '--entrypoint', 'sh', image, '-c', script])
const ten = (work: () => Promise<unknown>): Promise<unknown> => Promise.all(Array.from({ length: 10 }, work))

const containers = async (): Promise<number> => {
  const { stdout } = await execute('docker', ['ps', '--all', '--quiet', '--filter', 'label=skrei.home', '--filter', `ancestor=${image}`])
  return stdout.split('\n').filter((line) => line !== '').length
}

export const suite: Suite = {
  name: 'docker',
  about: 'A node in a process of its own runs short containers through its API, by turns with the docker command line.',
  figures,
  run: async ({ full, smallest, repeat, note }) => {
    try {
      await execute('docker', ['image', 'inspect', image])
    } catch {
      throw new Error(`this suite needs a Docker engine that has the image ${image}: sudo bash scripts/ci-machine`)
    }
    await buildProgram(note)
    const turns = smallest ? 1 : full ? 50 : 15
    const long = smallest ? 2 : full ? 1000 : 40
    const before = await containers()
    return withTemporaryFolder(async (folder) => {
      const outputs = join(folder, 'outputs')
      await mkdir(outputs)
      await chmod(outputs, 0o777)
      await using node = await startNode(join(folder, 'home'), [])
      for (let warm = 0; warm < Math.min(3, turns); warm++) await ten(() => runJob(node.api))
      const rounds: Record<string, number>[] = []
      for (let round = 0; round < repeat; round++) {
        const times = { own: [] as number[], command: [] as number[], ratio: [] as number[] }
        for (let turn = 0; turn < turns; turn++) {
          times.own.push(await timed(() => runJob(node.api)))
          times.command.push(await timed(() => runCommand(outputs)))
        }
        for (let turn = 0; turn < Math.ceil(turns / 5); turn++)
          times.ratio.push((await timed(() => ten(() => runJob(node.api)))) / (await timed(() => ten(() => runCommand(outputs)))))
        const [own, command] = [quantile(times.own, 0.5), quantile(times.command, 0.5)]
        note(`a job ${own.toFixed(0)} ms, the command line ${command.toFixed(0)} ms`)
        for (let count = 0; count < long / 2; count++) await runJob(node.api)
        const held = { rss: rssMiB(node.pid), files: openFiles(node.pid) }
        for (let count = 0; count < long / 2; count++) await runJob(node.api)
        // The last container is removed after its job has ended.
        for (let tries = 0; tries < 100 && ((await containers()) > before || openFiles(node.pid) > held.files); tries++) await pause(50)
        rounds.push({
          overheadMs: own - command,
          parallelRatio: quantile(times.ratio, 0.5),
          rssGrowthMiB: rssMiB(node.pid) - held.rss,
          filesGrowth: openFiles(node.pid) - held.files,
          containersLeft: Math.max(0, (await containers()) - before),
        })
      }
      return samplesOf(rounds)
    })
  },
}

const openFiles = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length
