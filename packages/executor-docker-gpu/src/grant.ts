import { stat } from 'node:fs/promises'
import type { Gpu } from './gpu.ts'

/** What a container is created with so that it has certain devices and no others. */
export interface Grant {
  /** Of the engine's API. */
  readonly hostConfig: {
    readonly DeviceRequests: readonly {
      readonly Driver: string
      readonly DeviceIDs: readonly string[]
      readonly Capabilities?: readonly (readonly string[])[]
    }[]
    readonly Devices: readonly { readonly PathOnHost: string; readonly PathInContainer: string; readonly CgroupPermissions: string }[]
    readonly GroupAdd: readonly string[]
  }
  /** Stands above what the image and the job say. */
  readonly env: Readonly<Record<string, string>>
}

/** What NVIDIA's runtime would add beside the devices where the environment of a container says so, which image and job could write. */
const withheld = {
  NVIDIA_MIG_CONFIG_DEVICES: '',
  NVIDIA_MIG_MONITOR_DEVICES: '',
  NVIDIA_IMEX_CHANNELS: '',
  NVIDIA_GDS: 'disabled',
  NVIDIA_MOFED: 'disabled',
  NVIDIA_NVSWITCH: 'disabled',
  NVIDIA_GDRCOPY: 'disabled',
}

const groupOf = (node: string): Promise<number | undefined> =>
  stat(node).then(
    ({ gid }) => gid,
    () => undefined,
  )

/**
 * NVIDIA's devices through its runtime, or by CDI where the engine lists them by their ids (`discovered`, since engine 28.2); those of AMD and Intel are files below /dev. `dockerExecutor` itself says to NVIDIA's runtime
 * that a container gets nothing, where nothing else is said.
 */
export const grantOf = async (
  gpus: readonly Gpu[],
  discovered: ReadonlySet<string>,
  group: (node: string) => Promise<number | undefined> = groupOf,
): Promise<Grant> => {
  const ids = gpus.filter(({ vendor }) => vendor === 'nvidia').map(({ id }) => id)
  const names = ids.map((id) => `nvidia.com/gpu=${id}`)
  const byCdi = names.every((name) => discovered.has(name))
  const nodes = [...new Set(gpus.flatMap((gpu) => gpu.nodes))]
  // A program that is not root reaches the file by the group that owns it.
  const groups = new Set((await Promise.all(nodes.map(group))).filter((gid) => gid !== undefined && gid !== 0))
  return {
    hostConfig: {
      DeviceRequests: ids.length === 0 ? [] : byCdi ? [{ Driver: 'cdi', DeviceIDs: names }] : [{ Driver: 'nvidia', DeviceIDs: ids, Capabilities: [['gpu']] }],
      Devices: nodes.map((node) => ({ PathOnHost: node, PathInContainer: node, CgroupPermissions: 'rw' })),
      GroupAdd: [...groups].map(String),
    },
    env: ids.length === 0 ? {} : { ...withheld, NVIDIA_VISIBLE_DEVICES: byCdi ? 'void' : ids.join(',') },
  }
}
