import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { GpuVendor } from './gpu.ts'
import { numberOf } from './readings.ts'

/** Reads what the kernel says of devices, below `/sys`. What cannot be read is not there. */
export interface Sysfs {
  /** The vendors of the display controllers and accelerators of this machine. */
  vendors(): Promise<ReadonlySet<GpuVendor>>
  /** The file below /dev through which programs compute on the device at this PCI address. */
  renderNode(pciAddress: string): Promise<string | undefined>
  /** A number out of a file of the device, such as `gpu_busy_percent`; a `*` stands for the first folder of the kind. */
  number(pciAddress: string, file: string): Promise<number | undefined>
}

const vendorIds = new Map<string, GpuVendor>([
  ['0x10de', 'nvidia'],
  ['0x1002', 'amd'],
  ['0x8086', 'intel'],
])

export const sysfs = (root = '/sys'): Sysfs => {
  const devices = join(root, 'bus/pci/devices')
  const list = (folder: string): Promise<readonly string[]> => readdir(folder).catch(() => [])
  const read = (file: string): Promise<string> =>
    readFile(file, 'utf8').then(
      (text) => text.trim(),
      () => '',
    )
  return {
    vendors: async () => {
      const found = new Set<GpuVendor>()
      for (const address of await list(devices)) {
        const vendor = vendorIds.get(await read(join(devices, address, 'vendor')))
        // PCI classes: 0x03 display controllers, 0x12 processing accelerators.
        if (vendor !== undefined && /^0x(?:03|12)/.test(await read(join(devices, address, 'class')))) found.add(vendor)
      }
      return found
    },
    renderNode: async (pciAddress) => {
      const node = (await list(join(devices, pciAddress, 'drm'))).find((name) => /^renderD\d{1,4}$/.test(name))
      return node === undefined ? undefined : `/dev/dri/${node}`
    },
    number: async (pciAddress, file) => {
      const [folder, name] = file.split('/*/')
      if (folder === undefined || name === undefined) return numberOf(await read(join(devices, pciAddress, file)))
      const [first] = await list(join(devices, pciAddress, folder))
      return first === undefined ? undefined : numberOf(await read(join(devices, pciAddress, folder, first, name)))
    },
  }
}
