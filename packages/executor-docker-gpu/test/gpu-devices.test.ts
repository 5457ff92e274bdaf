import type { EngineInfo } from '@skrei/executor-docker'
import { expect, test } from 'vitest'
import { gpuDevices } from '../src/gpu-devices.ts'
import { fourCounters, fourGpus, fourIds } from './gpu-stand-in.ts'
import { sysfsOf } from './machine.ts'

const info = (more: Partial<EngineInfo> = {}): EngineInfo => ({
  version: '28.5.1',
  apiVersion: '1.51',
  limits: { memory: true, swap: true, cpu: true, processes: true },
  security: [],
  runtimes: ['runc', 'nvidia'],
  devices: [],
  ...more,
})
const [first = '', second = ''] = fourIds

test('the tools are asked once, and again where an execution has a device that is not known', async () => {
  const runTool = fourGpus()
  using devices = gpuDevices({ runTool, sysfs: await sysfsOf({}), interval: 100, engine: async () => info() })
  expect((await devices.list()).map(({ id }) => id)).toEqual(fourIds)
  const asked = runTool.asked.length
  await devices.list()
  await devices.grant([first])
  expect(runTool.asked.length).toBe(asked)
  await expect(devices.grant(['GPU-of-another-machine'])).rejects.toThrow('is not on this machine any more')
  expect(runTool.asked.length).toBe(2 * asked)
})

test('after a restart a device is granted that nobody has listed yet, by CDI where the engine lists it', async () => {
  const engine = async () => info({ runtimes: ['runc'], devices: fourIds.map((id) => `nvidia.com/gpu=${id}`) })
  using devices = gpuDevices({ runTool: fourGpus(), sysfs: await sysfsOf({}), interval: 100, engine })
  expect((await devices.grant([second])).hostConfig).toMatchObject({ DeviceRequests: [{ Driver: 'cdi', DeviceIDs: [`nvidia.com/gpu=${second}`] }] })
})

test('counters are named by the place of the device, from the first question on, and none of none', async () => {
  using devices = gpuDevices({ runTool: fourGpus(), streamTool: fourCounters, sysfs: await sysfsOf({}), interval: 100, engine: async () => info() })
  await devices.list()
  expect(await devices.counters?.([])).toEqual({})
  expect(await devices.counters?.([second, first])).toEqual({
    gpu0Utilisation: 2,
    gpu0Memory: 2 ** 30,
    gpu0Power: 301.25,
    gpu0Temperature: 64,
    gpu1Utilisation: 1,
    gpu1Memory: 2 ** 30,
    gpu1Power: 301.25,
    gpu1Temperature: 64,
  })
})

test('an engine that does not answer makes the list fail, and it is asked again', async () => {
  let answers = false
  const engine = async (): Promise<EngineInfo> => {
    if (!answers) throw new Error('no engine')
    return info()
  }
  using devices = gpuDevices({ runTool: fourGpus(), sysfs: await sysfsOf({}), interval: 100, engine })
  await expect(devices.list()).rejects.toThrow('no engine')
  answers = true
  expect(await devices.list()).toHaveLength(4)
})
