import type { EngineInfo } from '@skrei/executor-docker'
import type { Gpu, GpuProblem } from '@skrei/executor-docker-gpu'
import type { Problem } from '../cli-errors.ts'
import { bytes } from '../printable.ts'
import type { Finding } from './finding.ts'
import { type Installer, installCommand, type Missing } from './install.ts'

/** What was found on this machine. */
export interface MachineFacts {
  readonly skrei: string
  readonly node: string
  readonly platform: string
  /** Bytes that are free where the node keeps its things; a text says why it cannot keep any. */
  readonly home: { readonly path: string; readonly free: number } | { readonly path: string; readonly error: string }
  /** What is wrong with the configuration. */
  readonly config: readonly Problem[]
  /** Of each engine that needs nothing but skrei: why a program did not run, if it did not. */
  readonly builtIn: Readonly<Record<string, string | undefined>>
  readonly docker: EngineInfo | EngineTrouble
  /** What came of a container that was run to try; absent: none was, as the image for it is not here. */
  readonly container?: { readonly failure?: string } | undefined
  /** Whether the configuration names the engine `docker`; absent: it names none, and the node has what there is. */
  readonly dockerWanted?: boolean | undefined
  readonly gpus: readonly Gpu[]
  readonly gpuProblems: readonly (GpuProblem | UnservedGpu)[]
  readonly installer?: Installer | undefined
}

/** A device that could be used if there were an engine. */
export interface UnservedGpu {
  readonly vendor: Gpu['vendor']
  readonly code: 'engine-missing'
  readonly detail: string
}

/** Why no Docker engine answers. `missing`: nothing listens where it would; `stopped`: something did; `denied`: it is not for this user; `failed`: anything else. */
export interface EngineTrouble {
  readonly trouble: 'missing' | 'stopped' | 'denied' | 'failed'
  readonly detail: string
}

/** What is to be said of a machine, in the order in which it is printed. Pure. */
export const diagnose = (facts: MachineFacts): readonly Finding[] => [
  { name: 'skrei', state: 'works', detail: `${facts.skrei} on Node.js ${facts.node}, ${facts.platform}` },
  home(facts.home),
  ...facts.config.map(configProblem),
  ...Object.entries(facts.builtIn).map(([name, error]): Finding => {
    return error === undefined
      ? { name, state: 'works', detail: 'ran a program' }
      : { name, state: 'broken', detail: `could not run a program: ${error}`, remedy: 'Report it, with what is printed here.' }
  }),
  ...(facts.dockerWanted === false
    ? [notWanted]
    : 'trouble' in facts.docker
      ? [noEngine(facts.docker, facts)]
      : [...engine(facts.docker), ...container(facts.container)]),
  ...(facts.dockerWanted === false ? [] : gpus(facts)),
]

const notWanted: Finding = {
  name: 'docker',
  state: 'absent',
  detail: 'the configuration names other engines only: jobs with an image, and GPUs, are not for this node',
}

const home = (found: MachineFacts['home']): Finding =>
  'error' in found
    ? { name: 'home', state: 'broken', detail: `${found.path}: ${found.error}`, remedy: 'Set SKREI_HOME to a folder that you may write to.' }
    : { name: 'home', state: 'works', detail: `${found.path}, ${bytes(found.free)} free` }

const configProblem = ({ file, line, column, message, remedy }: Problem): Finding => ({
  name: 'config',
  state: 'broken',
  detail: `${file === undefined ? '' : `${file}${line === undefined ? '' : `:${line}`}${column === undefined ? '' : `:${column}`}: `}${message}`,
  ...(remedy !== undefined && { remedy }),
})

const noEngine = ({ trouble, detail }: EngineTrouble, { installer, dockerWanted }: MachineFacts): Finding => {
  const remedies = {
    missing: installCommand('docker', installer),
    stopped: 'systemctl start docker',
    denied: 'usermod -aG docker "$USER", and log in again: who may use the engine is root on this machine',
    failed: 'docker info',
  }
  // One that is there and does not answer as it should is no engine that is not there.
  const state = trouble === 'failed' || dockerWanted ? 'broken' : 'absent'
  return { name: 'docker', state, detail: `${detail}: jobs with an image do not run here`, remedy: remedies[trouble] }
}

const engine = (info: EngineInfo): readonly Finding[] => {
  const { version, apiVersion, cgroupVersion, storageDriver, images, limits, security } = info
  const parts = [
    `engine ${version}, API ${apiVersion}`,
    `cgroup ${cgroupVersion === undefined ? 'version unknown' : `v${cgroupVersion}`}`,
    ...(storageDriver === undefined ? [] : [storageDriver]),
    ...(images === undefined ? [] : [`${images} ${images === 1 ? 'image' : 'images'}`]),
  ]
  const held = (['memory', 'cpu', 'processes'] as const).filter((limit) => limits[limit])
  const loose = (['memory', 'cpu', 'processes'] as const).filter((limit) => !limits[limit])
  const limitRemedy = 'Boot with cgroup_enable=memory swapaccount=1, and a kernel with the cgroup controllers memory, cpu and pids.'
  return [
    isOld(apiVersion)
      ? { name: 'docker', state: 'broken', detail: `${parts.join(', ')}: API 1.41 is the oldest that works`, remedy: 'Install Docker Engine 20.10 or newer.' }
      : { name: 'docker', state: 'works', detail: parts.join(', ') },
    loose.length > 0
      ? { name: 'limits', state: 'broken', detail: `the engine does not hold limits of ${loose.join(', ')}`, remedy: limitRemedy }
      : { name: 'limits', state: 'works', detail: `of ${held.join(', ')}${limits.swap ? ', swap' : ''} are held` },
    ...(limits.swap
      ? []
      : [
          { name: 'swap', state: 'absent', detail: 'the engine does not limit swap: a container may use some beyond its memory', remedy: limitRemedy } as const,
        ]),
    security.includes('seccomp')
      ? { name: 'sandbox', state: 'works', detail: `${security.join(', ')}` }
      : { name: 'sandbox', state: 'absent', detail: 'the engine filters no system calls (seccomp)', remedy: 'Use a kernel and an engine with seccomp.' },
  ]
}

const container = (tried: MachineFacts['container']): readonly Finding[] => {
  if (tried === undefined) return []
  return tried.failure === undefined
    ? [{ name: 'container', state: 'works', detail: 'ran a program' }]
    : [{ name: 'container', state: 'broken', detail: `could not run a program: ${tried.failure}`, remedy: 'Try `docker run --rm busybox true`.' }]
}

const isOld = (apiVersion: string): boolean => {
  const [major = 0, minor = 0] = apiVersion.split('.').map(Number)
  return !(major > 1 || (major === 1 && minor >= 41))
}

const tools = { nvidia: 'nvidia-smi', amd: 'amd-smi', intel: 'xpu-smi' } as const satisfies Readonly<Record<Gpu['vendor'], Missing>>

const gpus = ({ gpus: found, gpuProblems, installer }: MachineFacts): readonly Finding[] => {
  const rows: Finding[] = found.map(({ id, model, memory, driver, utilisation }) => {
    const parts = [
      model ?? 'model unknown',
      memory === undefined ? 'memory unknown' : bytes(memory),
      ...(driver === undefined ? [] : [`driver ${driver}`]),
      ...(utilisation === undefined ? [] : [`${utilisation} % busy`]),
      id,
    ]
    return { name: 'gpu', state: 'works', detail: parts.join(', ') }
  })
  for (const { vendor, code, detail } of gpuProblems) {
    if (code === 'tool-missing') rows.push({ name: 'gpu', state: 'absent', detail, remedy: installCommand(tools[vendor], installer) })
    else if (code === 'runtime-missing') rows.push({ name: 'gpu', state: 'absent', detail, remedy: installCommand('nvidia-runtime', installer) })
    else if (code === 'engine-missing') rows.push({ name: 'gpu', state: 'absent', detail })
    else rows.push({ name: 'gpu', state: 'broken', detail, remedy: `Try \`${tools[vendor]}\`.` })
  }
  return rows.length > 0 ? rows : [{ name: 'gpu', state: 'absent', detail: 'none: jobs that ask for one do not run here' }]
}
