import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chmod, chown, rm } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { Executor, RunEvent, RunExit, RunRequest } from '@skrei/executor'
import { type Bench, executorConformance, withBench } from '@skrei/executor/conformance'
import { dockerExecutor } from '@skrei/executor-docker'
import { beforeAll, expect, test } from 'vitest'
// @boundaries-ignore what finds an engine, and makes an image for it, is the same for both drivers
import { docker, haveImage, imageWith, namespace, shell, withEngine } from '../../executor-docker/test/docker-engine.ts'
import { grantOf } from '../src/grant.ts'
import { dockerGpuExecutor, type GpuOptions } from '../src/index.ts'
import { devicesAskedFor, fourCounters, fourGpus, fourIds, standInMissing } from './gpu-stand-in.ts'
import { tools } from './machine.ts'

const own = namespace()
const none: GpuOptions = { runTool: tools({}) }
const four: GpuOptions = { runTool: fourGpus(), streamTool: fourCounters }
const [first = '', , third = ''] = fourIds
const minutes = 180_000

const created =
  (gpu: GpuOptions) =>
  ({ home }: { readonly home: string }) =>
    dockerGpuExecutor({ directory: home, namespace: own, outputInterval: 20, evidenceInterval: 20, gpu })

const follow = async (
  executor: Executor,
  request: RunRequest,
): Promise<{ readonly stdout: string; readonly exit: RunExit; readonly events: readonly RunEvent[]; readonly container: string }> => {
  const events: RunEvent[] = []
  const decoder = new TextDecoder()
  let [stdout, container] = ['', '']
  for await (const event of executor.run(request, {})) {
    events.push(event)
    if (event.type !== 'output' || event.stream !== 'stdout') continue
    stdout += decoder.decode(event.bytes, { stream: true })
    container ||= await docker('inspect', '--format', '{{.Id}}', `${own}.${request.id}`)
  }
  const exit = events.at(-1)
  if (exit?.type !== 'exit') throw new Error('no exit')
  return { stdout, exit, events, container }
}

/** Runs a script of the shell, which writes something and is still there then, with these devices. */
const runWith = async (
  bench: Bench,
  script: string,
  devices: readonly string[],
  options: { readonly image?: string; readonly env?: Readonly<Record<string, string>> } = {},
) => {
  const id = randomUUID()
  const engine = { ...shell(script), ...(options.image !== undefined && { image: options.image }) }
  const request = { ...bench.request({ engine }, { id, ...(options.env && { env: options.env }) }), devices }
  return await follow(bench.executor, request)
}

withEngine('on a Docker engine', () => {
  beforeAll(haveImage)
  const program = (script: string, ...args: readonly string[]) => ({ engine: shell(script, ...args) })

  for (const [name, gpu] of [
    ['docker without GPUs', none],
    ['docker with four GPUs', four],
  ] as const)
    executorConformance({
      name,
      create: created(gpu),
      deadline: 60_000,
      capabilities: { restart: true },
      programs: {
        hello: program('echo hello'),
        exit7: program('echo oops >&2; exit 7'),
        forever: program('echo ready; exec sleep 1000000'),
        environment: program('echo "$GREETING"'),
        reads: program('cat /inputs/letter.txt'),
        writes: program('echo hello > /outputs/greeting.txt; mkdir -p /outputs/a/b; echo deep > /outputs/a/b/deep.txt'),
      },
    })

  test('who is given no device sees none, whatever image and job say', { timeout: minutes }, async () => {
    const all = await imageWith('skrei-test/asks-for-all:1', 'ENV NVIDIA_VISIBLE_DEVICES=all')
    await withBench(created(four), async (bench) => {
      const { stdout } = await runWith(bench, 'env | grep NVIDIA; sleep 1', [], { image: all, env: { NVIDIA_VISIBLE_DEVICES: 'all' } })
      expect(stdout).toBe('NVIDIA_VISIBLE_DEVICES=void\n')
    })
  })

  test('an execution with a device that is not on the machine fails as the fault of the node, and leaves nothing', { timeout: minutes }, async () => {
    await withBench(created(four), async (bench) => {
      await expect(runWith(bench, 'echo never', ['GPU-of-another-machine'])).rejects.toThrow('is not on this machine any more')
    })
    expect(await docker('ps', '--all', '--quiet', '--filter', `name=${own}`)).toBe('')
  })

  test.skipIf(process.getuid?.() !== 0)(
    'a device that is a file is given to the container with the group that owns it (as root)',
    { timeout: minutes },
    async () => {
      const node = `/dev/skrei-test-${process.pid}`
      const other = `${node}-other`
      for (const path of [node, other]) {
        // Zeros without end, for who may read it.
        await promisify(execFile)('mknod', [path, 'c', '1', '5'])
        await chown(path, 0, 4242)
        await chmod(path, 0o640)
      }
      try {
        const gpu = { id: 'AMD-0', kind: 'gpu', vendor: 'amd', nodes: [node] } as const
        const devices = {
          list: async () => [],
          grant: () => grantOf([gpu], new Set()),
        }
        await withBench(
          ({ home }) => dockerExecutor({ directory: home, namespace: own, devices }),
          async (bench) => {
            const { stdout, exit } = await runWith(bench, `id -u; head -c 3 ${node} | wc -c; ls ${node}*; sleep 1`, [gpu.id])
            expect(exit.failure).toBeUndefined()
            expect(stdout).toBe(`65534\n3\n${node}\n`)
          },
        )
      } finally {
        for (const path of [node, other]) await rm(path, { force: true })
      }
    },
  )

  const skipped = standInMissing !== undefined && process.env['CI'] !== 'true'
  test.skipIf(skipped)(
    `the engine is asked for the devices of an execution by their ids, and their counters are evidence${skipped ? ` (skipped: ${standInMissing})` : ''}`,
    { timeout: minutes },
    async () => {
      expect(standInMissing).toBeUndefined()
      await withBench(created(four), async (bench) => {
        const { devices } = await bench.executor.inventory()
        expect(devices).toEqual(fourIds.map((id) => ({ id, kind: 'gpu', vendor: 'nvidia', model: 'NVIDIA A100-SXM4-80GB', memory: 80 * 2 ** 30 })))
        // A job cannot ask for more by its environment.
        const ran = await runWith(bench, 'env | grep NVIDIA; sleep 1', [first, third], {
          env: { NVIDIA_VISIBLE_DEVICES: 'all', NVIDIA_MOFED: 'enabled', NVIDIA_DRIVER_CAPABILITIES: 'compute' },
        })
        expect(ran.exit.failure).toBeUndefined()
        expect(ran.stdout.trimEnd().split('\n')).toEqual(
          expect.arrayContaining([`NVIDIA_VISIBLE_DEVICES=${first},${third}`, 'NVIDIA_MOFED=disabled', 'NVIDIA_DRIVER_CAPABILITIES=compute']),
        )
        expect(await devicesAskedFor([ran.container])).toEqual([`${first},${third}`])
        const counters = ran.events.filter((event) => event.type === 'evidence').map((event) => event.counters)
        expect(counters.find((one) => 'gpu0Utilisation' in one)).toMatchObject({
          gpu0Utilisation: 1,
          gpu0Memory: 2 ** 30,
          gpu0Power: 301.25,
          gpu0Temperature: 64,
          gpu1Utilisation: 3,
        })
      })
    },
  )
})
