import { type Device, deviceSchema } from '@skrei/job-spec'

export type GpuVendor = 'nvidia' | 'amd' | 'intel'

/** A device as a node advertises it, with what it takes to hand it to a container. What is not known is absent. `memory` in bytes. */
export interface Gpu extends Device {
  readonly vendor: GpuVendor
  /** Version of its driver. */
  readonly driver?: string
  /** Per cent of the time that it computed lately, when it was looked at. */
  readonly utilisation?: number
  /** PCI address as in sysfs: `0000:01:00.0`. An instance of a divided device has that of the whole. */
  readonly pciAddress?: string
  /** The number by which the vendor's tool knows it until the machine restarts, where that is needed to read its counters. */
  readonly number?: number
  /** Files below /dev that a container must be given. Empty where the vendor's runtime knows them by the id. */
  readonly nodes: readonly string[]
}

/** Why devices that may be there are not offered. */
export interface GpuProblem {
  readonly vendor: GpuVendor
  /**
   * `tool-missing`: hardware is there and the tool that describes it is not installed. `tool-failed`: it ended with an error, hung, or wrote without end. `unreadable`: it wrote what is not its format.
   * `unusable`: the device is there and cannot be given to a container. `runtime-missing`: the engine has nothing that could give it.
   */
  readonly code: 'tool-missing' | 'tool-failed' | 'unreadable' | 'unusable' | 'runtime-missing'
  readonly detail: string
}

export interface GpuInventory {
  readonly gpus: readonly Gpu[]
  readonly problems: readonly GpuProblem[]
}

/** What a scheduler is told of a device: the attributes that jobs can ask for. */
export const deviceOf = ({ id, kind, vendor, model, memory }: Gpu): Device => ({
  id,
  kind,
  vendor,
  ...(model !== undefined && { model }),
  ...(memory !== undefined && { memory }),
})

/** Of what a tool wrote: a device of which everything that is known is plausible. Nothing where it has no usable id. */
export const gpuOf = (found: {
  readonly id: string | undefined
  readonly vendor: GpuVendor
  readonly model?: string | undefined
  readonly memory?: number | undefined
  readonly driver?: string | undefined
  readonly utilisation?: number | undefined
  readonly pciAddress?: string | undefined
  readonly number?: number | undefined
  readonly nodes?: readonly string[]
}): Gpu | undefined => {
  const { id, vendor, model, memory, driver, utilisation, pciAddress, number, nodes = [] } = found
  if (id === undefined) return undefined
  const gpu: Gpu = {
    id,
    kind: 'gpu',
    vendor,
    ...(model !== undefined && model.length <= 256 && { model }),
    // A device without memory is one that did not say.
    ...(memory !== undefined && memory > 0 && { memory }),
    ...(driver !== undefined && { driver }),
    ...(utilisation !== undefined && utilisation <= 100 && { utilisation }),
    ...(pciAddress !== undefined && { pciAddress }),
    ...(number !== undefined && { number }),
    nodes,
  }
  return deviceSchema.safeParse(deviceOf(gpu)).success ? gpu : undefined
}

/** The first of each id: an id that stands for two devices would be given to two executions. */
export const distinct = (gpus: readonly Gpu[]): readonly Gpu[] => gpus.filter((gpu, index) => gpus.findIndex(({ id }) => id === gpu.id) === index)
