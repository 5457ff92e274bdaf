import { distinct, type Gpu, type GpuInventory, type GpuProblem, gpuOf } from './gpu.ts'
import type { Sysfs } from './pci.ts'
import { bytesOf, fieldsOf, jsonOf, listOf, numberOf, pciAddressOf, textOf, uuidOf } from './readings.ts'
import type { RunTool, ToolOutput } from './tool.ts'

// Formats: AMD's "AMD SMI CLI tool usage" (ROCm 6 and 7) and, for what is older, the source of rocm_smi.py.

/** A device as AMD's tools tell of it; whether a container can be given it, only the kernel knows. */
interface AmdGpu {
  readonly pciAddress?: string | undefined
  readonly uuid?: string | undefined
  readonly model?: string | undefined
  readonly memory?: number | undefined
  readonly driver?: string | undefined
}

/** Rows of `amd-smi … --json`: a list, or since ROCm 7 a list in `gpu_data`. */
const rows = (text: string): readonly Readonly<Record<string, unknown>>[] => {
  const json = jsonOf(text)
  return listOf(Array.isArray(json) ? json : fieldsOf(json)['gpu_data']).map(fieldsOf)
}

/** `amd-smi list --json` with `amd-smi static --asic --bus --vram --driver --json`, whose rows are put together by their `gpu`. */
const parseAmdSmi = (list: string, details: string): readonly AmdGpu[] => {
  const statics = new Map(rows(details).map((row) => [row['gpu'], row]))
  return rows(list).map((row) => {
    const more = statics.get(row['gpu']) ?? {}
    const driver = fieldsOf(more['driver'])
    return {
      pciAddress: pciAddressOf(row['bdf'] ?? fieldsOf(more['bus'])['bdf']),
      uuid: uuidOf(row['uuid']),
      model: textOf(fieldsOf(more['asic'])['market_name']),
      memory: bytesOf(fieldsOf(more['vram'])['size']),
      driver: textOf(driver['version'] ?? driver['driver_version']),
    }
  })
}

/** `rocm-smi --showbus --showuniqueid --showproductname --showmeminfo vram --showdriverversion --json`: values are text, keys changed their case over time. */
const parseRocmSmi = (text: string): readonly AmdGpu[] => {
  const json = fieldsOf(jsonOf(text))
  const value = (fields: unknown, ...names: readonly string[]): string | undefined => {
    for (const [key, found] of Object.entries(fieldsOf(fields)))
      if (names.includes(key.toLowerCase()) && textOf(found) !== undefined && !/^0x/i.test(String(found))) return textOf(found)
    return undefined
  }
  const driver = value(json['system'], 'driver version')
  return Object.entries(json)
    .filter(([key]) => /^card\d{1,4}$/.test(key))
    .map(([, card]) => ({
      pciAddress: pciAddressOf(value(card, 'pci bus')),
      uuid: uniqueId(fieldsOf(card)['Unique ID']),
      model: value(card, 'card series') ?? value(card, 'card model'),
      memory: numberOf(value(card, 'vram total memory (b)')),
      driver,
    }))
}

const uniqueId = (value: unknown): string | undefined => {
  const match = /^0x([0-9a-f]{1,16})$/i.exec(textOf(value) ?? '')
  return match === null || /^0+$/.test(match[1] ?? '') ? undefined : match[1]?.toLowerCase()
}

/** Looks for AMD's devices with `amd-smi`, or with `rocm-smi` where that is not installed. Nothing throws but an aborted signal. */
export const detectAmd = async (runTool: RunTool, kernel: Sysfs, options: { readonly signal?: AbortSignal }): Promise<GpuInventory> => {
  const problems: GpuProblem[] = []
  const problem = (code: GpuProblem['code'], detail: string): void => void problems.push({ vendor: 'amd', code, detail })
  /** What it wrote, where it ended well. */
  const written = (output: ToolOutput): string => {
    if (output.status === 'failed') problem('tool-failed', output.detail)
    return output.status === 'ok' ? output.stdout : ''
  }
  const list = await runTool('amd-smi', ['list', '--json'], options)
  let found: readonly AmdGpu[]
  if (list.status === 'missing') {
    const output = await runTool(
      'rocm-smi',
      ['--showbus', '--showuniqueid', '--showproductname', '--showmeminfo', 'vram', '--showdriverversion', '--json'],
      options,
    )
    if (output.status === 'missing')
      return { gpus: [], problems: [{ vendor: 'amd', code: 'tool-missing', detail: 'neither amd-smi nor rocm-smi is installed' }] }
    found = parseRocmSmi(written(output))
    if (output.status === 'ok' && found.length === 0 && output.stdout.trim() !== '') problem('unreadable', 'rocm-smi describes no device')
  } else {
    const details = list.status === 'ok' ? written(await runTool('amd-smi', ['static', '--asic', '--bus', '--vram', '--driver', '--json'], options)) : ''
    found = parseAmdSmi(written(list), details)
    if (list.status === 'ok' && found.length === 0 && list.stdout.trim() !== '') problem('unreadable', 'amd-smi describes no device')
  }

  const gpus: Gpu[] = []
  for (const { pciAddress, uuid, ...known } of found) {
    const node = pciAddress === undefined ? undefined : await kernel.renderNode(pciAddress)
    if (pciAddress === undefined || node === undefined) {
      problem(
        'unusable',
        `the device ${pciAddress ?? '(without a PCI address)'} has no render node in /dev/dri: a partition of a device cannot be given to a container by itself`,
      )
      continue
    }
    // Cards without a serial number all have the same UUID, which ends in zeros.
    const own = uuid !== undefined && !uuid.endsWith('000000000000') && found.filter((other) => other.uuid === uuid).length === 1
    const utilisation = await kernel.number(pciAddress, 'gpu_busy_percent')
    const gpu = gpuOf({ ...known, id: `AMD-${own ? uuid : pciAddress}`, vendor: 'amd', pciAddress, utilisation, nodes: ['/dev/kfd', node] })
    if (gpu !== undefined) gpus.push(gpu)
  }
  return { gpus: distinct(gpus), problems }
}
