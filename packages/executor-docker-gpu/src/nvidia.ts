import { distinct, type Gpu, type GpuInventory, type GpuProblem, gpuOf } from './gpu.ts'
import { mebibyte, numberOf, pciAddressOf, textOf } from './readings.ts'
import type { RunTool } from './tool.ts'

// Formats: `nvidia-smi --help-query-gpu`, and NVIDIA's MIG user guide for `nvidia-smi -L` and `nvidia-smi -q -x`.

/** The name comes last: it is the one value that may have a comma in it. */
const fields = ['uuid', 'pci.bus_id', 'driver_version', 'memory.total', 'utilization.gpu', 'mig.mode.current', 'name']
const query = (names: readonly string[]): readonly string[] => [`--query-gpu=${names.join(',')}`, '--format=csv,noheader,nounits']

/** One device of `nvidia-smi --query-gpu`: itself, and whether it is divided into MIG instances, of which then each is a device and it is none. */
interface NvidiaGpu extends Gpu {
  readonly divided: boolean
}

const wholeId = /^GPU-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
/** Since driver 470 a UUID of its own; before that the device's with two numbers. */
const instanceId = /^MIG-(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|GPU-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\/\d{1,3}\/\d{1,3})$/i

/** Lines of `nvidia-smi --query-gpu=uuid,pci.bus_id,driver_version,memory.total,utilization.gpu,mig.mode.current,name --format=csv,noheader,nounits`; a line that is not one is left out. */
const parseNvidiaGpus = (csv: string): readonly NvidiaGpu[] => {
  const found: NvidiaGpu[] = []
  // What stands after the last newline may be half of something.
  for (const line of csv.split('\n').slice(0, -1)) {
    const [uuid = '', bus, driver, memory, utilisation, mode, ...name] = line.split(',').map((value) => value.trim())
    if (name.length === 0 || !wholeId.test(uuid)) continue
    const mebibytes = numberOf(memory)
    const gpu = gpuOf({
      id: uuid,
      vendor: 'nvidia',
      model: textOf(name.join(', ')),
      memory: mebibytes === undefined ? undefined : mebibytes * mebibyte,
      driver: textOf(driver),
      utilisation: numberOf(utilisation),
      pciAddress: pciAddressOf(bus),
    })
    if (gpu !== undefined) found.push({ ...gpu, divided: mode === 'Enabled' })
  }
  return found
}

/** The instances of `nvidia-smi -L` by the device that they are of. `index` counts them as `nvidia-smi -q -x` does. */
const parseMigInstances = (list: string): ReadonlyMap<string, readonly { readonly id: string; readonly profile: string; readonly index: number }[]> => {
  const found = new Map<string, { id: string; profile: string; index: number }[]>()
  let whole: string | undefined
  for (const line of list.split('\n')) {
    const device = /^GPU \d+: .{0,300}\(UUID: ([^)\s]{1,100})\)\s*$/.exec(line)
    if (device !== null) whole = device[1]
    const instance = /^\s+MIG (\S{1,64})\s+Device\s+(\d{1,3}):\s+\(UUID: ([^)\s]{1,100})\)\s*$/.exec(line)
    const [, profile = '', index = '', id = ''] = instance ?? []
    if (instance === null || whole === undefined || !instanceId.test(id)) continue
    found.set(whole, [...(found.get(whole) ?? []), { id, profile, index: Number(index) }])
  }
  return found
}

/** Bytes of memory of each instance, by device and index, out of `nvidia-smi -q -x`. */
const parseMigMemory = (xml: string): ReadonlyMap<string, ReadonlyMap<number, number>> => {
  const found = new Map<string, ReadonlyMap<number, number>>()
  for (const device of blocks(xml, '<gpu id=', '</gpu>')) {
    const memory = new Map<number, number>()
    for (const instance of blocks(device, '<mig_device>', '</mig_device>')) {
      const index = numberOf(blocks(instance, '<index>', '</index>')[0])
      const [framebuffer = ''] = blocks(instance, '<fb_memory_usage>', '</fb_memory_usage>')
      const [total = ''] = blocks(framebuffer, '<total>', '</total>')
      const mebibytes = numberOf(/^\s*(\d+) MiB\s*$/.exec(total)?.[1])
      if (index !== undefined && mebibytes !== undefined) memory.set(index, mebibytes * mebibyte)
    }
    // An instance of a newer driver has a UUID as well, and the device's stands behind them.
    const uuid = blocks(device, '<uuid>', '</uuid>').find((id) => wholeId.test(id.trim()))
    if (uuid !== undefined) found.set(uuid.trim(), memory)
  }
  return found
}

const blocks = (text: string, open: string, close: string): readonly string[] => {
  const found: string[] = []
  for (let at = text.indexOf(open); at !== -1; at = text.indexOf(open, at)) {
    const end = text.indexOf(close, at)
    if (end === -1) break
    found.push(text.slice(at + open.length, end))
    at = end
  }
  return found
}

/** Looks for NVIDIA's devices with `nvidia-smi`. Nothing throws but an aborted signal. */
export const detectNvidia = async (runTool: RunTool, options: { readonly signal?: AbortSignal }): Promise<GpuInventory> => {
  const problems: GpuProblem[] = []
  const problem = (code: GpuProblem['code'], detail: string): void => void problems.push({ vendor: 'nvidia', code, detail })
  let output = await runTool('nvidia-smi', query(fields), options)
  // Drivers before 450 know no MIG.
  if (output.status === 'failed' && output.stdout.includes('is not a valid field')) {
    output = await runTool('nvidia-smi', query(fields.map((field) => (field === 'mig.mode.current' ? 'count' : field))), options)
  }
  if (output.status === 'missing') return { gpus: [], problems: [{ vendor: 'nvidia', code: 'tool-missing', detail: 'nvidia-smi is not installed' }] }
  if (output.status === 'failed') problem('tool-failed', output.detail)
  const whole = parseNvidiaGpus(output.stdout)
  const lines = output.stdout.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('No devices were found')).length
  if (output.status === 'ok' && lines > whole.length) problem('unreadable', `of ${lines} lines of nvidia-smi ${lines - whole.length} describe no device`)

  const gpus: Gpu[] = []
  const instances = whole.some(({ divided }) => divided) ? await detectInstances(runTool, options, problem) : undefined
  for (const { divided, ...gpu } of whole) {
    if (!divided) gpus.push(gpu)
    else gpus.push(...(instances?.(gpu) ?? []))
    if (divided && (instances?.(gpu) ?? []).length === 0)
      problem('unusable', `${gpu.id} is in MIG mode and has no instances: \`nvidia-smi mig -cgi\` makes them`)
  }
  return { gpus: distinct(gpus), problems }
}

const detectInstances = async (
  runTool: RunTool,
  options: { readonly signal?: AbortSignal },
  problem: (code: GpuProblem['code'], detail: string) => void,
): Promise<((whole: Gpu) => readonly Gpu[]) | undefined> => {
  const list = await runTool('nvidia-smi', ['-L'], options)
  if (list.status !== 'ok') {
    problem('tool-failed', list.status === 'failed' ? list.detail : 'nvidia-smi is not installed')
    return undefined
  }
  const details = await runTool('nvidia-smi', ['-q', '-x'], options)
  if (details.status === 'failed') problem('tool-failed', details.detail)
  const instances = parseMigInstances(list.stdout)
  const memory = details.status === 'ok' ? parseMigMemory(details.stdout) : new Map<string, ReadonlyMap<number, number>>()
  return (whole) =>
    (instances.get(whole.id) ?? []).flatMap(({ id, profile, index }) => {
      const gpu = gpuOf({
        ...whole,
        id,
        model: whole.model === undefined ? undefined : `${whole.model} MIG ${profile}`,
        memory: memory.get(whole.id)?.get(index),
        // The driver measures the whole device only.
        utilisation: undefined,
      })
      return gpu === undefined ? [] : [gpu]
    })
}
