import type { Executor } from '@skrei/executor'
import { type DockerOptions, dockerExecutor, engineInfo } from '@skrei/executor-docker'
import { type GpuOptions, gpuDevices } from './gpu-devices.ts'

export interface DockerGpuOptions extends Omit<DockerOptions, 'devices'> {
  readonly gpu?: GpuOptions
}

/**
 * The engine `docker` with the GPUs of this machine: in a node it stands in the place of `dockerExecutor`, whose options it takes. Its inventory names them, a container is given those of its execution and no others, and
 * their counters stand in its evidence as `gpu0Utilisation` (per cent), `gpu0Memory` (bytes), `gpu0Power` (watts) and `gpu0Temperature` (degrees Celsius), counted as in `RunRequest.devices`.
 */
export const dockerGpuExecutor = ({ gpu, ...options }: DockerGpuOptions): Executor & AsyncDisposable => {
  const { socketPath, evidenceInterval = 100 } = options
  const engine = ({ signal }: { readonly signal?: AbortSignal }) => engineInfo({ ...(socketPath !== undefined && { socketPath }), ...(signal && { signal }) })
  const devices = gpuDevices({ ...gpu, engine, interval: Math.max(1, evidenceInterval) })
  const executor = dockerExecutor({ ...options, devices })
  return {
    ...executor,
    [Symbol.asyncDispose]: async () => {
      await executor[Symbol.asyncDispose]()
      devices[Symbol.dispose]()
    },
  }
}
