import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type EngineInfo, engineInfo } from '../src/index.ts'

/** What is said of an engine that answers so. */
const answered = async (version: unknown, info: unknown): Promise<EngineInfo> => {
  const folder = await mkdtemp(join(tmpdir(), 'skrei-engine-'))
  const server = createServer((request, response) => {
    response.writeHead(200, { 'Content-Type': 'application/json' })
    response.end(JSON.stringify(request.url?.startsWith('/version') ? version : info))
  })
  try {
    const socketPath = join(folder, 'socket')
    await new Promise<void>((resolve) => server.listen(socketPath, resolve))
    return await engineInfo({ socketPath })
  } finally {
    server.close()
    server.closeAllConnections()
    await rm(folder, { recursive: true, force: true })
  }
}

test('devices that an engine of now gives to containers by CDI are listed', async () => {
  const devices = [
    { Source: 'cdi', ID: 'nvidia.com/gpu=GPU-5a1fe2b0-6c0e-4d0b-9d0f-3f0d7a8a0c01' },
    { Source: 'other', ID: 'x' },
  ]
  const info = await answered({ Version: '28.5.1', ApiVersion: '1.51' }, { CgroupVersion: '2', DiscoveredDevices: devices, Runtimes: { runc: {}, nvidia: {} } })
  expect(info).toMatchObject({
    version: '28.5.1',
    cgroupVersion: 2,
    devices: ['nvidia.com/gpu=GPU-5a1fe2b0-6c0e-4d0b-9d0f-3f0d7a8a0c01'],
    runtimes: ['runc', 'nvidia'],
  })
})

test('what an engine does not say is absent, and no limit that it does not name is taken to be held', async () => {
  for (const nonsense of [{}, [], null, 'text', { Images: 'many', CgroupVersion: 3, SecurityOptions: [1, 'seccomp'], DiscoveredDevices: {}, Runtimes: [] }])
    expect(await answered(nonsense, nonsense)).toEqual({
      version: '',
      apiVersion: '',
      limits: { memory: false, swap: false, cpu: false, processes: false },
      security: [],
      runtimes: [],
      devices: [],
    })
})

test('an engine that is not there says so by the code of the system', async () => {
  await expect(engineInfo({ socketPath: '/nowhere/docker.sock' })).rejects.toMatchObject({ code: 'engine', cause: { code: 'ENOENT' } })
})
