import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { dockerGpuExecutor, type GpuOptions } from '@skrei/executor-docker-gpu'
import type { JobSpec } from '@skrei/job-spec'
import { checkSignature, createIdentity } from '@skrei/protocol'
import { createScheduler, type Scheduler } from '@skrei/scheduler'
import { memoryStateStore } from '@skrei/state-store/memory'
import { inlineSource } from '@skrei/storage/inline'
import { localPublisher, localWorkspace } from '@skrei/storage/local'
import { memoryNetwork, type PacketRecord } from '@skrei/transport/memory'
import { systemClock } from '@skrei/transport/system-clock'
import { beforeAll, expect, test } from 'vitest'
// @boundaries-ignore what finds an engine, makes an image for it, and stands in for devices, is the same for the drivers and the node
import { docker, haveImage, shell, withEngine } from '../../../packages/executor-docker/test/docker-engine.ts'
// @boundaries-ignore as above
import { devicesAskedFor, standInMissing } from '../../../packages/executor-docker-gpu/test/gpu-stand-in.ts'
import { bundledMain } from './bundle.ts'
import { place } from './command-line.ts'

/** Runs until it is told to end; says before which device it sees. */
const job = (): JobSpec => ({
  apiVersion: 'skrei/v1',
  engine: shell("trap 'exit 0' TERM; echo $NVIDIA_VISIBLE_DEVICES; while :; do sleep 0.05; done"),
  resources: { cpu: 100, memory: 2 ** 26, disk: 2 ** 24, gpu: { count: 1, vendor: 'nvidia', model: '*A100*', memory: 40 * 2 ** 30 } },
  publisher: [{ type: 'local' }],
})

const skipped = standInMissing !== undefined && process.env['CI'] !== 'true'

withEngine('on a Docker engine', () => {
  beforeAll(haveImage)

  const title = 'eight jobs of one GPU each run four at a time on four GPUs, each on its own, and a node that has none is not asked'
  test.skipIf(skipped)(skipped ? `${title} (skipped: ${standInMissing})` : title, { timeout: 600_000 }, async () => {
    expect(standInMissing).toBeUndefined()
    using here = place()
    const path = process.env['PATH']
    // Here nvidia-smi lists four devices; for the second node it is not installed.
    process.env['PATH'] = `${join(import.meta.dirname, 'fixtures')}:${path}`
    const packets: PacketRecord[] = []
    const clock = systemClock()
    const network = memoryNetwork({ clock, seed: 1, observe: (packet) => packets.push(packet) })
    const nodes: string[] = []
    let jobs = 0
    const node = async (name: string, gpu: GpuOptions): Promise<Scheduler> => {
      const identity = createIdentity()
      nodes.push(identity.nodeId)
      const directory = join(here.home, name)
      await mkdir(directory, { recursive: true })
      return createScheduler({
        network: 'test',
        identity,
        check: checkSignature,
        clock,
        random: Math.random,
        jobId: () => `${name}-${++jobs}`,
        store: memoryStateStore(),
        transport: network.join(identity.nodeId),
        workspace: localWorkspace({ directory: join(directory, 'workspace') }),
        sources: [inlineSource()],
        publishers: [localPublisher({ directory: join(here.home, 'published') })],
        compute: {
          executors: [dockerGpuExecutor({ directory: join(directory, 'docker'), namespace: `skrei-${name}-${process.pid}`, node: identity.nodeId, gpu })],
          capacity: { cpu: 8000, memory: 2 ** 33, disk: 2 ** 33 },
        },
      })
    }
    try {
      await using rich = await node('rich', {})
      await using poor = await node('poor', { runTool: async () => ({ status: 'missing' }) })
      await rich.start()
      await poor.start()
      expect(rich.standing().devices).toHaveLength(4)
      expect(poor.standing().devices).toEqual([])
      await expect.poll(() => rich.nodes().length, { timeout: 60_000 }).toBe(2)
      const before = packets.length

      const ids: string[] = []
      for (let one = 0; one < 8; one++) ids.push(await rich.submit(job()))
      const running = async (): Promise<readonly string[]> => (await containers(rich.nodeId)).split('\n').filter((id) => id !== '')
      const used: string[] = []
      for (let left = 8; left > 0; left--) {
        await expect.poll(async () => (await running()).length, { timeout: 120_000 }).toBe(Math.min(4, left))
        const now = await running()
        const devices = await devicesAskedFor(now)
        // Each has exactly one, and no two the same: what the engine was asked for is what the store says is held.
        expect(new Set(devices).size).toBe(now.length)
        // (One whose program has just ended may still hold its device.)
        const held = rich.standing().devices?.filter(({ execution }) => execution !== undefined) ?? []
        expect(held.map(({ id }) => id)).toEqual(expect.arrayContaining([...devices]))
        expect(new Set(held.map(({ execution }) => execution)).size).toBe(held.length)
        if (left > 4) await expect.poll(() => rich.standing().queued, { timeout: 60_000 }).toBe(left - 4)
        const [first = ''] = now
        used.push(...(await devicesAskedFor([first])))
        await docker('kill', '--signal', 'TERM', first)
        await expect.poll(async () => (await running()).includes(first), { timeout: 60_000 }).toBe(false)
      }
      const ended = await Promise.all(ids.map((id) => rich.finished(id)))
      expect(ended.map(({ state }) => state)).toEqual(ids.map(() => 'completed'))
      // None of the four was idle while jobs waited.
      expect(new Set(used).size).toBe(4)
      // Nothing of it went to the other node, which runs the same engine.
      expect(packets.slice(before).filter(({ type, to }) => type === 'send' && to === poor.nodeId)).toEqual([])
    } finally {
      process.env['PATH'] = path
      for (const id of (await Promise.all(nodes.map(containers))).join('\n').split('\n')) if (id !== '') await docker('rm', '--force', id)
    }
  })
})

const cliTitle = 'the command line runs a job on as many devices as it asks for, and says before why it could not'
withEngine('on a Docker engine, from the command line', () => {
  beforeAll(haveImage)
  test.skipIf(skipped)(skipped ? `${cliTitle} (skipped: ${standInMissing})` : cliTitle, { timeout: 300_000 }, async () => {
    expect(standInMissing).toBeUndefined()
    const environment = { DOCKER_HOST: 'unix:///var/run/docker.sock', PATH: `${join(import.meta.dirname, 'fixtures')}:${process.env['PATH']}` }
    // As it is published: what is bundled reaches the engine as well.
    using here = place(environment, bundledMain())
    const wants = (gpu: object): string =>
      JSON.stringify({ apiVersion: 'skrei/v1', engine: shell('echo $NVIDIA_VISIBLE_DEVICES'), resources: { gpu }, publisher: [{ type: 'local' }] })
    const { code, result } = await here.run(wants({ count: 2, vendor: 'nvidia', memory: '40Gi' }))
    expect([code, result.state]).toEqual([0, 'completed'])
    const seen = (await readFile(join(result.results.path ?? '', 'shards/0/stdout'), 'utf8')).trim().split(',')
    expect(seen.map((id) => id.slice(0, 4))).toEqual(['GPU-', 'GPU-'])
    expect(new Set(seen).size).toBe(2)

    here.write('fits.json', wants({ count: 4 }))
    expect((await here.skrei('validate', 'fits.json')).stderr).toBe('')
    here.write('much.json', wants({ count: 5 }))
    expect((await here.skrei('validate', 'much.json')).stderr).toContain('5 fitting GPUs asked, 4 in all')
    const refused = await here.run(wants({ count: 1, vendor: 'amd' }))
    expect([refused.code, refused.result.error?.code]).toEqual([3, 'no-node'])
    here.clean()
  })
})

/** Those of a node, by line. */
const containers = (nodeId: string): Promise<string> => docker('ps', '--no-trunc', '--filter', `label=skrei.node=${nodeId}`, '--format', '{{.ID}}')
