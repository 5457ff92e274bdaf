import { expect, test } from 'vitest'
import { grantOf } from '../src/grant.ts'
import type { Gpu } from '../src/index.ts'

const nvidia = (id: string): Gpu => ({ id, kind: 'gpu', vendor: 'nvidia', nodes: [] })
const first = nvidia('GPU-5a1fe2b0-6c0e-4d0b-9d0f-3f0d7a8a0c01')
const second = nvidia('MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f')
const amd: Gpu = { id: 'AMD-0000:83:00.0', kind: 'gpu', vendor: 'amd', nodes: ['/dev/kfd', '/dev/dri/renderD129'] }
const otherAmd: Gpu = { id: 'AMD-0000:c3:00.0', kind: 'gpu', vendor: 'amd', nodes: ['/dev/kfd', '/dev/dri/renderD130'] }
const intel: Gpu = { id: 'INTEL-0', kind: 'gpu', vendor: 'intel', nodes: ['/dev/dri/renderD128'] }
const groups = async (node: string): Promise<number | undefined> => ({ '/dev/kfd': 992, '/dev/dri/renderD129': 992, '/dev/dri/renderD128': 0 })[node]

test('who asked for no device is given none', async () => {
  const grant = await grantOf([], new Set(['nvidia.com/gpu=all']))
  expect(grant).toEqual({ hostConfig: { DeviceRequests: [], Devices: [], GroupAdd: [] }, env: {} })
})

test("NVIDIA's devices are asked for by id, all in one request", async () => {
  const grant = await grantOf([first, second], new Set())
  expect(grant.hostConfig.DeviceRequests).toEqual([{ Driver: 'nvidia', DeviceIDs: [first.id, second.id], Capabilities: [['gpu']] }])
  expect(grant.env).toMatchObject({ NVIDIA_VISIBLE_DEVICES: `${first.id},${second.id}`, NVIDIA_MOFED: 'disabled', NVIDIA_MIG_CONFIG_DEVICES: '' })
  expect(grant.hostConfig.Devices).toEqual([])
})

test('where the engine lists all of them by id, they are asked for by CDI; an index is no id', async () => {
  const listed = await grantOf([first], new Set([`nvidia.com/gpu=${first.id}`, 'nvidia.com/gpu=0']))
  expect(listed.hostConfig.DeviceRequests).toEqual([{ Driver: 'cdi', DeviceIDs: [`nvidia.com/gpu=${first.id}`] }])
  expect(listed.env['NVIDIA_VISIBLE_DEVICES']).toBe('void')
  expect((await grantOf([first, second], new Set([`nvidia.com/gpu=${first.id}`]))).hostConfig.DeviceRequests[0]?.Driver).toBe('nvidia')
  expect((await grantOf([first], new Set(['nvidia.com/gpu=0', 'nvidia.com/gpu=all']))).hostConfig.DeviceRequests[0]?.Driver).toBe('nvidia')
})

test("AMD's and Intel's devices are files, each once, with the groups that own them but root's", async () => {
  const grant = await grantOf([amd, otherAmd, intel], new Set(), groups)
  expect(grant.hostConfig.Devices.map(({ PathOnHost }) => PathOnHost)).toEqual([
    '/dev/kfd',
    '/dev/dri/renderD129',
    '/dev/dri/renderD130',
    '/dev/dri/renderD128',
  ])
  expect(grant.hostConfig.Devices[0]).toEqual({ PathOnHost: '/dev/kfd', PathInContainer: '/dev/kfd', CgroupPermissions: 'rw' })
  expect(grant.hostConfig.GroupAdd).toEqual(['992'])
  expect(grant).toMatchObject({ hostConfig: { DeviceRequests: [] }, env: {} })
})
