import { expect, test } from 'vitest'
import { gpuMonitor, intelCounterParser, parseNvidiaCounters, readAmdCounters, type StreamTool, streamLines } from '../src/counters.ts'
import type { Gpu } from '../src/index.ts'
import { sysfs } from '../src/pci.ts'
import { fixture, sysfsOf } from './machine.ts'

const nvidia: Gpu = { id: 'GPU-5a1fe2b0-6c0e-4d0b-9d0f-3f0d7a8a0c01', kind: 'gpu', vendor: 'nvidia', nodes: [] }
const intel: Gpu = { id: 'INTEL-0', kind: 'gpu', vendor: 'intel', number: 1, nodes: [] }
const amd: Gpu = { id: 'AMD-0000:83:00.0', kind: 'gpu', vendor: 'amd', pciAddress: '0000:83:00.0', nodes: [] }

test('counters of NVIDIA: per cent, bytes, watts, degrees; what is not known is absent', () => {
  expect(parseNvidiaCounters(`${nvidia.id}, 97, 1024, 301.25, 64`)).toEqual([
    nvidia.id,
    { utilisation: 97, memoryUsed: 2 ** 30, power: 301.25, temperature: 64 },
  ])
  expect(parseNvidiaCounters(`${nvidia.id}, [N/A], [Not Supported], [Unknown Error], 0`)).toEqual([nvidia.id, { temperature: 0 }])
  for (const line of ['', `${nvidia.id}, 97`, `${nvidia.id}, 97, 1, 2, 3, 4`, 'No devices were found', 'x, 1, 2, 3, 4'])
    expect(parseNvidiaCounters(line)).toBeUndefined()
})

test('counters of Intel are told apart by their columns', async () => {
  const lines = (await fixture('xpu-dump.csv')).trim().split('\n')
  const parse = intelCounterParser()
  expect(lines.map(parse)).toEqual([
    undefined,
    [0, { utilisation: 0, power: 118.87, memoryUsed: 28 * 2 ** 20 }],
    [1, { utilisation: 93.5, power: 218.1, temperature: 61, memoryUsed: 2 ** 30 }],
  ])
  expect(intelCounterParser()(lines[1] ?? '')).toBeUndefined()
  expect(parse('21:48:07.398, 1, 93.50')).toBeUndefined()
})

test('counters of AMD come from the kernel', async () => {
  const files = {
    gpu_busy_percent: '42\n',
    mem_info_vram_used: '1048576\n',
    'hwmon/hwmon3/power1_average': '133000000\n',
    'hwmon/hwmon3/temp1_input': '35000\n',
  }
  const kernel = sysfs(await sysfsOf({ '0000:83:00.0': files, '0000:c3:00.0': { 'hwmon/hwmon4/power1_input': '9000000', gpu_busy_percent: 'N/A' } }))
  expect(await readAmdCounters(kernel, '0000:83:00.0')).toEqual({ utilisation: 42, memoryUsed: 1_048_576, power: 133, temperature: 35 })
  expect(await readAmdCounters(kernel, '0000:c3:00.0')).toEqual({ power: 9 })
  expect(await readAmdCounters(kernel, '0000:ff:00.0')).toEqual({})
})

/** Tools that write what the test tells them to. */
const streams = () => {
  const running = new Map<string, { line(text: string): void; ended(): void }>()
  const started: string[] = []
  const streamTool: StreamTool = (command, _args, line, ended) => {
    started.push(command)
    running.set(command, { line, ended })
    return { [Symbol.dispose]: () => void running.delete(command) }
  }
  return { streamTool, running, started }
}

test('a tool runs for as long as a device of its vendor is watched, once for all who watch', async () => {
  const { streamTool, running, started } = streams()
  let time = 0
  const monitor = gpuMonitor({ gpus: [nvidia, intel], kernel: sysfs(await sysfsOf({})), interval: 100, streamTool, now: () => time })
  expect(started).toEqual([])
  const first = monitor.watch([nvidia.id])
  const second = monitor.watch([nvidia.id])
  expect(started).toEqual(['nvidia-smi'])
  expect(first.read()).toEqual(new Map())

  running.get('nvidia-smi')?.line(`${nvidia.id}, 97, 1024, 301.25, 64`)
  running.get('nvidia-smi')?.line('GPU-of-somebody-else, 1, 1, 1, 1')
  expect(second.read()).toEqual(new Map([[nvidia.id, { utilisation: 97, memoryUsed: 2 ** 30, power: 301.25, temperature: 64 }]]))
  time += 5001
  expect(first.read()).toEqual(new Map())

  const third = monitor.watch([intel.id])
  running.get('xpu-smi')?.line('Timestamp, DeviceId, GPU Power (W)')
  running.get('xpu-smi')?.line('21:48:07.398, 1, 70.5')
  running.get('xpu-smi')?.line('21:48:07.398, 7, 70.5')
  expect(third.read()).toEqual(new Map([[intel.id, { power: 70.5 }]]))

  first[Symbol.dispose]()
  expect([...running.keys()]).toEqual(['nvidia-smi', 'xpu-smi'])
  second[Symbol.dispose]()
  second[Symbol.dispose]()
  third[Symbol.dispose]()
  expect([...running.keys()]).toEqual([])
})

test('AMD devices are read while they are watched', async () => {
  const kernel = sysfs(await sysfsOf({ '0000:83:00.0': { gpu_busy_percent: '42\n' } }))
  const monitor = gpuMonitor({ gpus: [amd], kernel, interval: 5, streamTool: streams().streamTool })
  const watch = monitor.watch([amd.id])
  await expect.poll(() => watch.read().get(amd.id), { timeout: 20_000 }).toEqual({ utilisation: 42 })
  watch[Symbol.dispose]()
})

test('a stream is read line by line, and its process ends with it', async () => {
  const lines: string[] = []
  const written = Promise.withResolvers<number>()
  const stream = streamLines(
    'sh',
    ['-c', `head -c 10000 /dev/zero | tr '\\0' x; echo; echo one; echo $$; exec sleep 600`],
    (line) => {
      lines.push(line)
      if (/^\d+$/.test(line)) written.resolve(Number(line))
    },
    () => undefined,
  )
  const pid = await written.promise
  expect(lines.slice(-2)).toEqual(['one', `${pid}`])
  expect(lines.every((line) => line.length <= 4096)).toBe(true)
  stream[Symbol.dispose]()
  await expect
    .poll(
      () => {
        try {
          process.kill(pid, 0)
          return 'alive'
        } catch {
          return 'gone'
        }
      },
      { timeout: 20_000 },
    )
    .toBe('gone')
})

test('a stream whose tool is missing or ends says so, and one that was let go does not', async () => {
  for (const command of ['true', 'skrei-no-such-tool']) await new Promise<void>((resolve) => void streamLines(command, [], () => undefined, resolve))
  let told = false
  const stream = streamLines(
    'sleep',
    ['600'],
    () => undefined,
    () => (told = true),
  )
  stream[Symbol.dispose]()
  await new Promise<void>((resolve) => void streamLines('true', [], () => undefined, resolve))
  expect(told).toBe(false)
})
