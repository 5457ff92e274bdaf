import type { DeviceDriver, EngineInfo } from '@skrei/executor-docker'
import { type GpuMonitor, type GpuWatch, gpuMonitor, type StreamTool } from './counters.ts'
import { detectGpus } from './detect.ts'
import { deviceOf, type Gpu, type GpuInventory } from './gpu.ts'
import { grantOf } from './grant.ts'
import { sysfs } from './pci.ts'
import { type RunTool, runtimeHookInstalled } from './tool.ts'

export interface GpuOptions {
  /** Runs the vendors' tools. Default: `toolRunner()`, processes of 20 seconds and 4 MiB at most. */
  readonly runTool?: RunTool
  /** Runs those that write counters for ever. Default: as processes. */
  readonly streamTool?: StreamTool
  /** Where the kernel describes devices. Default: `/sys`. */
  readonly sysfs?: string
}

/** The GPUs of this machine that this engine can give to containers, and why others are not among them. Rejects only where `signal` is aborted. */
export const usableGpus = async (engine: EngineInfo, options: GpuOptions & { readonly signal?: AbortSignal } = {}): Promise<GpuInventory> => {
  const { gpus, problems } = await detectGpus(options)
  const discovered = new Set(engine.devices)
  const runtime = engine.runtimes.includes('nvidia') || runtimeHookInstalled()
  const usable = gpus.filter(({ id, vendor }) => vendor !== 'nvidia' || runtime || discovered.has(`nvidia.com/gpu=${id}`))
  const left = gpus.length - usable.length
  if (left === 0) return { gpus, problems }
  const detail = `the engine has no runtime for NVIDIA's devices and lists none by its UUID: ${left} ${left === 1 ? 'is' : 'are'} not offered`
  return { gpus: usable, problems: [...problems, { vendor: 'nvidia', code: 'runtime-missing', detail }] }
}

/** After so many milliseconds without a question about an execution's counters nobody wants them any more. */
const unasked = 5000

/** What the docker executor is told of GPUs. `interval`: milliseconds between two samples of a device's counters. Disposed of, it lets go of the tools that count. */
export const gpuDevices = (
  options: GpuOptions & { readonly interval: number; readonly engine: (options: { readonly signal?: AbortSignal }) => Promise<EngineInfo> },
): DeviceDriver & Disposable => {
  let known: readonly Gpu[] = []
  let discovered: ReadonlySet<string> = new Set()
  let monitor: GpuMonitor | undefined
  const watches = new Map<string, { readonly watch: GpuWatch; readonly timer: NodeJS.Timeout }>()

  const look = async (signal?: AbortSignal): Promise<void> => {
    const aborting = { ...(signal && { signal }) }
    const engine = await options.engine(aborting)
    const { gpus } = await usableGpus(engine, { ...options, ...aborting })
    known = gpus
    discovered = new Set(engine.devices)
    monitor = gpuMonitor({ gpus, kernel: sysfs(options.sysfs), interval: options.interval, ...(options.streamTool && { streamTool: options.streamTool }) })
  }

  /** Watched from the first question on, until there was none for a while. */
  const watched = (ids: readonly string[]): GpuWatch | undefined => {
    const key = ids.join('\n')
    const { watch = monitor?.watch(ids), timer } = watches.get(key) ?? {}
    clearTimeout(timer)
    if (watch === undefined) return undefined
    const end = (): void => {
      watches.delete(key)
      watch[Symbol.dispose]()
    }
    watches.set(key, { watch, timer: setTimeout(end, unasked).unref() })
    return watch
  }

  return {
    // Asked for each task: the tools are asked once.
    list: async ({ signal } = {}) => {
      if (monitor === undefined) await look(signal)
      return known.map(deviceOf)
    },
    grant: async (ids) => {
      // A node that was restarted may go on with an execution before it is asked what it has.
      if (ids.some((id) => !known.some((gpu) => gpu.id === id))) await look()
      const gpus = ids.map((id) => {
        const gpu = known.find((one) => one.id === id)
        if (gpu === undefined) throw new Error(`the device ${id} was reserved for an execution and is not on this machine any more`)
        return gpu
      })
      return await grantOf(gpus, discovered)
    },
    counters: async (ids) => {
      const found = ids.length === 0 ? undefined : watched(ids)?.read()
      return Object.fromEntries(
        ids.flatMap((id, index) => {
          const { utilisation, memoryUsed, power, temperature } = found?.get(id) ?? {}
          const named = { Utilisation: utilisation, Memory: memoryUsed, Power: power, Temperature: temperature }
          return Object.entries(named).flatMap(([name, value]) => (value === undefined ? [] : [[`gpu${index}${name}`, value] as const]))
        }),
      )
    },
    [Symbol.dispose]: () => {
      for (const { watch, timer } of watches.values()) {
        clearTimeout(timer)
        watch[Symbol.dispose]()
      }
      watches.clear()
    },
  }
}
