import { distinct, type Gpu, type GpuInventory, type GpuProblem, gpuOf } from './gpu.ts'
import type { Sysfs } from './pci.ts'
import { fieldsOf, jsonOf, listOf, numberOf, pciAddressOf, textOf, uuidOf } from './readings.ts'
import type { RunTool } from './tool.ts'

// Formats: Intel's "XPU System Management Interface User Guide" (xpumanager), `discovery -j`, `discovery -d … -j` and `stats -d … -j`.

/** The numbers that `xpu-smi discovery -j` gives to devices: by these, which may be others after a restart, its other commands know them. */
const parseIntelList = (text: string): readonly number[] =>
  listOf(fieldsOf(jsonOf(text))['device_list']).flatMap((device) => {
    const id = numberOf(fieldsOf(device)['device_id'])
    return id === undefined || id > 255 ? [] : [id]
  })

/** A device of `xpu-smi discovery -d NUMBER -j`. */
const parseIntelDevice = (
  text: string,
): {
  readonly uuid?: string | undefined
  readonly pciAddress?: string | undefined
  readonly model?: string | undefined
  readonly memory?: number | undefined
  readonly driver?: string | undefined
} => {
  const device = fieldsOf(jsonOf(text))
  return {
    uuid: uuidOf(device['uuid']),
    pciAddress: pciAddressOf(device['pci_bdf_address']),
    model: textOf(device['device_name']),
    memory: numberOf(device['memory_physical_size_byte']),
    driver: textOf(device['driver_version']),
  }
}

/** Per cent, out of `xpu-smi stats -d NUMBER -j`. */
const parseIntelUtilisation = (text: string): number | undefined => {
  const metrics = listOf(fieldsOf(jsonOf(text))['device_level']).map(fieldsOf)
  return numberOf(metrics.find((metric) => metric['metrics_type'] === 'XPUM_STATS_GPU_UTILIZATION')?.['value'])
}

/** Looks for Intel's devices with `xpu-smi`. Nothing throws but an aborted signal. */
export const detectIntel = async (runTool: RunTool, kernel: Sysfs, options: { readonly signal?: AbortSignal }): Promise<GpuInventory> => {
  const problems: GpuProblem[] = []
  const problem = (code: GpuProblem['code'], detail: string): void => void problems.push({ vendor: 'intel', code, detail })
  const list = await runTool('xpu-smi', ['discovery', '-j'], options)
  if (list.status === 'missing') return { gpus: [], problems: [{ vendor: 'intel', code: 'tool-missing', detail: 'xpu-smi is not installed' }] }
  if (list.status === 'failed') return { gpus: [], problems: [{ vendor: 'intel', code: 'tool-failed', detail: list.detail }] }
  const numbers = parseIntelList(list.stdout)
  if (numbers.length === 0 && fieldsOf(jsonOf(list.stdout))['device_list'] === undefined) problem('unreadable', 'xpu-smi describes no device')

  const gpus: Gpu[] = []
  for (const number of numbers) {
    const device = await runTool('xpu-smi', ['discovery', '-d', `${number}`, '-j'], options)
    if (device.status !== 'ok') {
      problem('tool-failed', device.status === 'failed' ? device.detail : 'xpu-smi is not installed')
      continue
    }
    const { uuid, pciAddress, ...known } = parseIntelDevice(device.stdout)
    const node = pciAddress === undefined ? undefined : await kernel.renderNode(pciAddress)
    if (pciAddress === undefined || node === undefined) {
      problem('unusable', `the device ${pciAddress ?? number} has no render node in /dev/dri`)
      continue
    }
    const stats = await runTool('xpu-smi', ['stats', '-d', `${number}`, '-j'], options)
    const utilisation = stats.status === 'ok' ? parseIntelUtilisation(stats.stdout) : undefined
    const gpu = gpuOf({ ...known, id: `INTEL-${uuid ?? pciAddress}`, vendor: 'intel', pciAddress, utilisation, number, nodes: [node] })
    if (gpu !== undefined) gpus.push(gpu)
  }
  return { gpus: distinct(gpus), problems }
}
