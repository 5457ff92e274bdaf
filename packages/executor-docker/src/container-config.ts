import { posix, resolve } from 'node:path'
import type { RunRequest } from '@skrei/executor'
import type { DockerEngineSpec } from '@skrei/job-spec'
import type { ContainerConfig, EngineImage } from './engine-client.ts'
import type { DeviceGrant } from './options.ts'

export interface ContainerPlan {
  readonly request: RunRequest
  readonly engine: DockerEngineSpec
  readonly image: EngineImage
  readonly user: string
  readonly labels: Readonly<Record<string, string>>
  readonly network: { readonly mode: string; readonly env: Readonly<Record<string, string>>; readonly hostConfig: Readonly<Record<string, unknown>> }
  readonly devices: DeviceGrant
  readonly scratch: number
  readonly processes: number
}

/** The signal that asks for the end of what takes no notice of it: by it the engine learns of the time limit, and the program does not (see `EngineClient.endAfter`). */
const noSignal = 'SIGURG'

/**
 * Where NVIDIA's runtime is the engine's default one, it gives a container the devices that this variable names, whoever wrote it: most CUDA images say `all`. The same on every node, so that programs see the same.
 */
const noDevices = { NVIDIA_VISIBLE_DEVICES: 'void' }

/** A container with nothing but what its task needs: the sandbox is here. */
export const containerConfig = ({ request, engine, image, user, labels, network, devices, scratch, processes }: ContainerPlan): ContainerConfig => {
  const { task, mounts, env } = request
  const taken = new Set(mounts.map(({ at }) => plain(at)))
  const scratchAt = ['/tmp', ...image.volumes.map(plain)].filter((path) => !taken.has(path))
  return {
    Image: image.id,
    User: user,
    // The same for every container: what a program sees does not depend on where it runs.
    Hostname: 'skrei',
    Env: Object.entries({ ...network.env, ...env, ...noDevices, ...devices.env }).map(([name, value]) => `${name}=${value}`),
    ...(engine.entrypoint !== undefined && { Entrypoint: engine.entrypoint }),
    ...(engine.args !== undefined && { Cmd: engine.args }),
    ...(engine.workingDirectory !== undefined && { WorkingDir: engine.workingDirectory }),
    AttachStdin: false,
    AttachStdout: true,
    AttachStderr: true,
    OpenStdin: false,
    Tty: false,
    StopSignal: noSignal,
    // How long the engine waits for the container when the engine itself goes down; and for the news of its end where a signal met a process that was gone already: after
    // that it says 255, whatever the program ended with (seen with 1 s under load).
    StopTimeout: 20,
    // An image's health check would run beside the program.
    Healthcheck: { Test: ['NONE'] },
    Labels: labels,
    HostConfig: {
      NetworkMode: network.mode,
      ...network.hostConfig,
      Mounts: mounts.map(({ path, at, writable }) => ({
        Type: 'bind',
        Source: resolve(path),
        Target: at,
        ReadOnly: !writable,
        BindOptions: { Propagation: 'rprivate' },
      })),
      ReadonlyRootfs: true,
      Tmpfs: Object.fromEntries(scratchAt.map((path) => [path, `rw,exec,nosuid,nodev,mode=1777,size=${scratch}`])),
      ShmSize: scratch,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      Privileged: false,
      IpcMode: 'private',
      PidsLimit: processes,
      Memory: task.resources.memory,
      // Equal: no swap beside it.
      MemorySwap: task.resources.memory,
      NanoCpus: Math.round(task.resources.cpu * 1e6),
      // Where the machine runs out of memory, these go before the node does.
      OomScoreAdj: 500,
      Ulimits: [
        { Name: 'core', Soft: 0, Hard: 0 },
        { Name: 'nofile', Soft: openFiles, Hard: openFiles },
        // One file alone cannot be larger than all outputs together; a byte more, so that what was too large can be seen.
        { Name: 'fsize', Soft: task.resources.disk + 1, Hard: task.resources.disk + 1 },
      ],
      RestartPolicy: { Name: 'no' },
      AutoRemove: false,
      LogConfig: { Type: 'local', Config: { 'max-size': `${logKibibytes(task.limits)}k`, 'max-file': '2', compress: 'false' } },
      ...devices.hostConfig,
    },
  }
}

const plain = (path: string): string => posix.normalize(path).replace(/(?<=.)\/$/, '')

/** Whether a container can have nothing mounted there: its root, what the kernel shows below it, and what is no path at all. */
export const isUnmountable = (path: string): boolean => !path.startsWith('/') || /^\/(proc|sys|dev)?(\/|$)/.test(plain(path))

/** A volume that the image declares where it cannot be: where nothing can be mounted, or below what the job has there, which it would hide. What is written to it, nobody would collect. */
export const misplacedVolume = ({ volumes }: EngineImage, { mounts }: RunRequest): string | undefined =>
  volumes.find((volume) => isUnmountable(volume) || mounts.some(({ at }) => plain(volume).startsWith(`${plain(at)}/`)))

const openFiles = 4096

/** The engine's own log is what the output is taken from where the node was not there to take it. Small lines take several times their length in it. */
const logKibibytes = ({ stdout, stderr }: RunRequest['task']['limits']): number => 1024 + Math.ceil((4 * (stdout + stderr)) / 1024)

/** Whether a user of an image or a job is root as far as its text says: a name can stand for 0 in the image. The engine reads numbers with their sign. */
export const isRoot = (user: string): boolean => {
  const name = user.split(':')[0] ?? ''
  return name === '' || name === 'root' || /^[+-]?0+$/.test(name)
}
