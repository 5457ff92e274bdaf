import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { diagnose, type MachineFacts } from '../src/doctor/diagnose.ts'
import { examine } from '../src/doctor/examine.ts'
import { findInstaller } from '../src/doctor/install.ts'
import { place } from './command-line.ts'

const engine: Exclude<MachineFacts['docker'], { trouble: unknown }> = {
  version: '28.5.1',
  apiVersion: '1.51',
  cgroupVersion: 2,
  storageDriver: 'overlay2',
  images: 1,
  limits: { memory: true, swap: true, cpu: true, processes: true },
  security: ['seccomp', 'cgroupns'],
  runtimes: ['runc'],
  devices: [],
}
const machine: MachineFacts = {
  skrei: '0.1.0',
  node: '24.21.0',
  platform: 'linux 6.1 x64',
  home: { path: '/root/.skrei', free: 2 ** 36 },
  config: [],
  builtIn: { wasm: undefined, noop: undefined },
  docker: engine,
  gpus: [],
  gpuProblems: [],
}
const findings = (facts: Partial<MachineFacts>) => diagnose({ ...machine, ...facts })
const of = (name: string, facts: Partial<MachineFacts>) => findings(facts).filter((finding) => finding.name === name)

test('of a machine on which everything works nothing is broken, and no GPU is no fault', () => {
  expect(findings({}).map(({ name, state }) => `${name} ${state}`)).toEqual([
    'skrei works',
    'home works',
    'wasm works',
    'noop works',
    'docker works',
    'limits works',
    'sandbox works',
    'gpu absent',
  ])
  expect(of('docker', {})[0]?.detail).toBe('engine 28.5.1, API 1.51, cgroup v2, overlay2, 1 image')
})

test('a container that was tried works or is broken, and none that was not is said', () => {
  expect(of('container', {})).toEqual([])
  expect(of('container', { container: {} })).toEqual([{ name: 'container', state: 'works', detail: 'ran a program' }])
  const failed = of('container', { container: { failure: 'no cgroup' } })
  expect(failed).toMatchObject([{ state: 'broken', detail: 'could not run a program: no cgroup', remedy: expect.stringContaining('docker run') }])
  expect(of('container', { container: { failure: 'no cgroup' }, dockerWanted: false })).toEqual([])
})

test.each([
  ['missing', 'apt-get install -y docker.io'],
  ['stopped', 'systemctl start docker'],
  ['denied', expect.stringContaining('usermod -aG docker')],
] as const)('an engine that is %s is no fault of the node, and the command that helps is said', (trouble, remedy) => {
  expect(of('docker', { docker: { trouble, detail: 'no engine' }, installer: 'apt-get' })).toEqual([
    { name: 'docker', state: 'absent', detail: 'no engine: jobs with an image do not run here', remedy },
  ])
  expect(findings({ docker: { trouble, detail: 'no engine' } }).some(({ name }) => name === 'limits')).toBe(false)
})

test('an engine that is missing where the configuration names it is a fault', () => {
  expect(of('docker', { docker: { trouble: 'missing', detail: 'no engine' }, dockerWanted: true })).toMatchObject([{ state: 'broken' }])
})

test('an engine that the configuration leaves out is not looked at further', () => {
  const loose = { ...engine, limits: { memory: false, swap: false, cpu: false, processes: false } }
  const gpuProblems: MachineFacts['gpuProblems'] = [{ vendor: 'nvidia', code: 'tool-failed', detail: 'nvidia-smi ended with code 9' }]
  expect(findings({ docker: loose, gpuProblems, dockerWanted: false }).some(({ state }) => state === 'broken')).toBe(false)
})

test('an engine that is there and does not answer as one is a fault', () => {
  expect(of('docker', { docker: { trouble: 'failed', detail: 'it does not answer' } })).toMatchObject([{ state: 'broken', remedy: 'docker info' }])
})

test('without a package manager that is known, the place to get it from is said', () => {
  expect(of('docker', { docker: { trouble: 'missing', detail: 'no engine' } })[0]?.remedy).toContain('https://docs.docker.com/')
  expect(of('docker', { docker: { trouble: 'missing', detail: 'no engine' }, installer: 'brew' })[0]?.remedy).toBe('brew install --cask docker')
})

test('an engine that does not hold limits, or is too old, is a fault', () => {
  const loose = { ...engine, limits: { memory: false, swap: false, cpu: true, processes: false } }
  expect(of('limits', { docker: loose })).toMatchObject([{ state: 'broken', detail: 'the engine does not hold limits of memory, processes' }])
  expect(of('swap', { docker: loose })).toMatchObject([{ state: 'absent' }])
  expect(of('docker', { docker: { ...engine, apiVersion: '1.40' } })).toMatchObject([{ state: 'broken' }])
  expect(of('docker', { docker: { ...engine, apiVersion: '1.41' } })).toMatchObject([{ state: 'works' }])
  expect(of('docker', { docker: { ...engine, apiVersion: '' } })).toMatchObject([{ state: 'broken' }])
  expect(of('sandbox', { docker: { ...engine, security: [] } })).toMatchObject([{ state: 'absent' }])
})

test('an engine of skrei that cannot run a program, and a home that cannot be written to, are faults', () => {
  expect(of('wasm', { builtIn: { wasm: 'spawn EPERM' } })).toMatchObject([{ state: 'broken', detail: 'could not run a program: spawn EPERM' }])
  expect(of('home', { home: { path: '/x', error: '/ cannot be written to: EACCES' } })).toMatchObject([{ state: 'broken' }])
})

test('GPUs are told with what is known of them, and what is missing with what installs it', () => {
  const gpus: MachineFacts['gpus'] = [
    { id: 'GPU-1', kind: 'gpu', vendor: 'nvidia', model: 'NVIDIA A100', memory: 80 * 2 ** 30, driver: '550.90.07', utilisation: 0, nodes: [] },
    { id: 'AMD-1', kind: 'gpu', vendor: 'amd', nodes: [] },
  ]
  expect(of('gpu', { gpus }).map(({ detail }) => detail)).toEqual([
    'NVIDIA A100, 80.0 GiB, driver 550.90.07, 0 % busy, GPU-1',
    'model unknown, memory unknown, AMD-1',
  ])
  const gpuProblems: MachineFacts['gpuProblems'] = [
    { vendor: 'amd', code: 'tool-missing', detail: 'neither amd-smi nor rocm-smi is installed' },
    { vendor: 'nvidia', code: 'runtime-missing', detail: 'the engine has no runtime' },
    { vendor: 'intel', code: 'tool-failed', detail: 'xpu-smi did not end within 20000 ms' },
  ]
  expect(of('gpu', { gpuProblems, installer: 'apt-get' })).toMatchObject([
    { state: 'absent', remedy: 'apt-get install -y rocm-smi' },
    { state: 'absent', remedy: expect.stringContaining('nvidia-container-toolkit') },
    { state: 'broken', remedy: 'Try `xpu-smi`.' },
  ])
})

test('doctor tells what it looked at, for people and as events, and leaves nothing behind', async () => {
  using here = place()
  const ended = await here.skrei('doctor')
  expect(ended.stdout).toMatch(/^works {3}skrei {5}\d+\.\d+\.\d+ on Node\.js /)
  expect(ended.stdout).toMatch(/^works {3}wasm {6}ran a program$/m)
  const json = await here.skrei('doctor', '--json')
  expect(json.code).toBe(ended.code)
  const events = json.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string; name?: string; state?: string; error?: unknown })
  expect(events.filter(({ type }) => type === 'finding').map(({ name }) => name)).toEqual(
    expect.arrayContaining(['skrei', 'home', 'wasm', 'noop', 'docker', 'gpu']),
  )
  expect(events.at(-1)).toMatchObject({ type: 'result', jobId: null })
  // What it says is whether anything is broken.
  expect(json.code).toBe(events.some(({ state }) => state === 'broken') ? 1 : 0)
  expect(events.at(-1)?.error === null).toBe(json.code === 0)
  here.clean(json)
})

test('a configuration that the node would refuse is a fault, with its place', async () => {
  using here = place()
  await mkdir(here.home)
  await writeFile(join(here.home, 'config.yaml'), 'listen: 7\n')
  const ended = await here.skrei('doctor')
  expect(ended.code).toBe(1)
  expect(ended.stdout).toMatch(/^broken {2}config {4}.*config\.yaml:1:9: /m)
})

test('doctor finds the GPUs that a tool on the PATH lists, and a tool that fails is a fault', async () => {
  using here = place()
  const bin = join(here.jobs, 'bin')
  await mkdir(bin)
  const tool = async (text: string): Promise<void> => {
    await writeFile(join(bin, 'nvidia-smi'), `#!/bin/sh\n${text}\n`)
    await chmod(join(bin, 'nvidia-smi'), 0o755)
  }
  const path = process.env['PATH']
  process.env['PATH'] = `${bin}:${path}`
  try {
    await tool("echo 'GPU-5a1fe2b0-6c0e-4d0b-9d0f-3f0d7a8a0c01, 00000000:07:00.0, 550.90.07, 81920, 0, Disabled, NVIDIA A100-SXM4-80GB'")
    using works = place()
    expect((await works.skrei('doctor')).stdout).toContain('NVIDIA A100-SXM4-80GB')
    await tool("echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'; exit 9")
    using broken = place()
    const ended = await broken.skrei('doctor', '--json')
    expect(ended.code).toBe(1)
    expect(ended.stdout).toContain('nvidia-smi ended with code 9: NVIDIA-SMI has failed')
    expect(JSON.parse(ended.stdout.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({ error: { code: 'machine-unfit' } })
  } finally {
    process.env['PATH'] = path
  }
})

test('a home that cannot be made is a fault, and one that is not there yet is none and is not made', async () => {
  using here = place()
  await writeFile(join(here.jobs, 'file'), '')
  const doctor = async (home: string) => {
    const before = process.env['SKREI_HOME']
    process.env['SKREI_HOME'] = home
    try {
      return (await examine('0.1.0', new AbortController().signal)).home
    } finally {
      if (before === undefined) delete process.env['SKREI_HOME']
      else process.env['SKREI_HOME'] = before
    }
  }
  expect(await doctor(join(here.jobs, 'file/home'))).toMatchObject({ error: expect.stringContaining('file') })
  expect(await doctor('/proc/skrei')).toMatchObject({ error: expect.stringContaining('/proc cannot be written to') })
  const fresh = await doctor(join(here.jobs, 'a/b'))
  expect(fresh).toMatchObject({ path: join(here.jobs, 'a/b'), free: expect.any(Number) })
  expect(await readdir(here.jobs)).toEqual(expect.arrayContaining(['file']))
  expect(await readdir(here.jobs)).not.toContain('a')
})

test('the package manager is the first that the PATH has', async () => {
  using here = place()
  expect(findInstaller(here.jobs)).toBeUndefined()
  await writeFile(join(here.jobs, 'dnf'), '')
  expect(findInstaller(here.jobs)).toBeUndefined()
  await chmod(join(here.jobs, 'dnf'), 0o755)
  expect(findInstaller(`/nowhere:${here.jobs}`)).toBe('dnf')
})
