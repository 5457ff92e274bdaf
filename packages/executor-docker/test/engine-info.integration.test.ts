import { expect, test } from 'vitest'
import { engineInfo } from '../src/index.ts'
import { withEngine } from './docker-engine.ts'

withEngine('on a Docker engine', () => {
  test('it says which limits it holds, what shields the host, and its runtimes', async () => {
    const info = await engineInfo()
    expect(info.version).toMatch(/^\d+\./)
    expect(info.apiVersion).toMatch(/^1\.\d+$/)
    expect([1, 2]).toContain(info.cgroupVersion)
    expect(info.limits).toMatchObject({ memory: true, cpu: true, processes: true })
    expect(info.security).toContain('seccomp')
    expect(info.runtimes).toContain('runc')
    expect(info.images).toBeGreaterThanOrEqual(0)
  })
})
