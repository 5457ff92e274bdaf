import { spawn } from 'node:child_process'
import type { Gpu } from './gpu.ts'
import type { Sysfs } from './pci.ts'
import { mebibyte, numberOf } from './readings.ts'
import { killTool, toolEnvironment } from './tool.ts'

/** What a device does at a moment. What is not known is absent. */
export interface GpuCounters {
  /** Per cent of the time that it computes. */
  readonly utilisation?: number
  /** Bytes. */
  readonly memoryUsed?: number
  /** Watts. */
  readonly power?: number
  /** Degrees Celsius. */
  readonly temperature?: number
}

/** Writes lines for ever, until it is disposed of; `ended` is called where it ends by itself. */
export type StreamTool = (command: string, args: readonly string[], line: (line: string) => void, ended: () => void) => Disposable

export interface GpuMonitorOptions {
  readonly gpus: readonly Gpu[]
  readonly kernel: Sysfs
  /** Milliseconds between two samples. Intel's tool takes none more often than once a second. */
  readonly interval: number
  readonly streamTool?: StreamTool
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number
}

/** Samples devices for as long as somebody watches one. */
export interface GpuMonitor {
  watch(ids: readonly string[]): GpuWatch
}
export interface GpuWatch extends Disposable {
  /** The newest counters of each watched device that has said anything lately. */
  read(): ReadonlyMap<string, GpuCounters>
}

/** A sample that is older says nothing of now. Milliseconds. */
const stale = 5000
/** How long to leave a tool alone that ended by itself. Milliseconds. */
const respite = 10_000
/** No line of these tools is longer. */
const longestLine = 4096

const nvidiaFields = ['uuid', 'utilization.gpu', 'memory.used', 'power.draw', 'temperature.gpu']

const countersOf = (found: { readonly [K in keyof GpuCounters]: number | undefined }): GpuCounters => ({
  ...(found.utilisation !== undefined && found.utilisation <= 100 && { utilisation: found.utilisation }),
  ...(found.memoryUsed !== undefined && { memoryUsed: found.memoryUsed }),
  ...(found.power !== undefined && { power: found.power }),
  ...(found.temperature !== undefined && { temperature: found.temperature }),
})
const times = (value: number | undefined, factor: number): number | undefined => (value === undefined ? undefined : value * factor)

/** A line of `nvidia-smi --query-gpu=uuid,utilization.gpu,memory.used,power.draw,temperature.gpu --format=csv,noheader,nounits`. */
export const parseNvidiaCounters = (line: string): readonly [id: string, counters: GpuCounters] | undefined => {
  const [id = '', utilisation, memory, power, temperature, ...more] = line.split(',').map((value) => value.trim())
  if (!id.startsWith('GPU-') || temperature === undefined || more.length > 0) return undefined
  return [
    id,
    countersOf({
      utilisation: numberOf(utilisation),
      memoryUsed: times(numberOf(memory), mebibyte),
      power: numberOf(power),
      temperature: numberOf(temperature),
    }),
  ]
}

/** The lines of `xpu-smi dump -d -1 -m 0,1,3,18 -i 1`, one by one: the first names the columns. */
export const intelCounterParser = (): ((line: string) => readonly [number: number, counters: GpuCounters] | undefined) => {
  let columns: readonly string[] = []
  return (line) => {
    const values = line.split(',').map((value) => value.trim())
    if (values[0] === 'Timestamp') {
      columns = values
      return undefined
    }
    const value = (name: string): number | undefined => {
      const at = columns.findIndex((column) => column.startsWith(name))
      return at === -1 ? undefined : numberOf(values[at])
    }
    const device = value('DeviceId')
    if (device === undefined || values.length !== columns.length) return undefined
    return [
      device,
      countersOf({
        utilisation: value('GPU Utilization'),
        memoryUsed: times(value('GPU Memory Used'), mebibyte),
        power: value('GPU Power'),
        temperature: value('GPU Core Temperature'),
      }),
    ]
  }
}

/** Out of the files that the kernel's amdgpu driver documents. */
export const readAmdCounters = async (kernel: Sysfs, pciAddress: string): Promise<GpuCounters> => {
  const [utilisation, memoryUsed, average, input, temperature] = await Promise.all(
    ['gpu_busy_percent', 'mem_info_vram_used', 'hwmon/*/power1_average', 'hwmon/*/power1_input', 'hwmon/*/temp1_input'].map((file) =>
      kernel.number(pciAddress, file),
    ),
  )
  return countersOf({ utilisation, memoryUsed, power: times(average ?? input, 1e-6), temperature: times(temperature, 1e-3) })
}

export const gpuMonitor = ({ gpus, kernel, interval, streamTool = streamLines, now = () => performance.now() }: GpuMonitorOptions): GpuMonitor => {
  const newest = new Map<string, { readonly at: number; readonly counters: GpuCounters }>()
  const watched = new Map<GpuWatch, readonly string[]>()
  const known = new Set(gpus.map(({ id }) => id))
  const note = (id: string, counters: GpuCounters): void => {
    if (known.has(id)) newest.set(id, { at: now(), counters })
  }

  /** Runs for as long as a device of its vendor is watched. */
  const sampler = (vendor: Gpu['vendor'], start: () => Disposable) => {
    let running: Disposable | undefined
    return (): void => {
      const wanted = [...watched.values()].flat().some((id) => gpus.some((gpu) => gpu.id === id && gpu.vendor === vendor))
      if (wanted) running ??= start()
      else {
        running?.[Symbol.dispose]()
        running = undefined
      }
    }
  }
  const samplers = [
    sampler('nvidia', () =>
      kept(
        streamTool,
        'nvidia-smi',
        [`--query-gpu=${nvidiaFields.join(',')}`, '--format=csv,noheader,nounits', `--loop-ms=${Math.max(10, interval)}`],
        () => (line) => {
          const found = parseNvidiaCounters(line)
          if (found !== undefined) note(...found)
        },
      ),
    ),
    sampler('intel', () =>
      kept(streamTool, 'xpu-smi', ['dump', '-d', '-1', '-m', '0,1,3,18', '-i', `${Math.max(1, Math.round(interval / 1000))}`], () => {
        const parse = intelCounterParser()
        return (line) => {
          const [number, counters] = parse(line) ?? []
          const gpu = gpus.find((device) => device.vendor === 'intel' && device.number === number)
          if (gpu !== undefined && number !== undefined && counters !== undefined) note(gpu.id, counters)
        }
      }),
    ),
    sampler('amd', () => {
      const ids = () => new Set([...watched.values()].flat())
      return repeated(interval, async () => {
        for (const { id, pciAddress } of gpus.filter(({ id, vendor }) => vendor === 'amd' && ids().has(id)))
          if (pciAddress !== undefined) note(id, await readAmdCounters(kernel, pciAddress))
      })
    }),
  ]
  const adjust = (): void => {
    for (const sample of samplers) sample()
  }

  return {
    watch: (ids) => {
      const watch: GpuWatch = {
        read: () => {
          const found = new Map<string, GpuCounters>()
          for (const id of ids) {
            const sample = newest.get(id)
            if (sample !== undefined && now() - sample.at <= stale) found.set(id, sample.counters)
          }
          return found
        },
        [Symbol.dispose]: () => {
          watched.delete(watch)
          adjust()
        },
      }
      watched.set(watch, ids)
      adjust()
      return watch
    },
  }
}

/** A tool that is started anew, after a while, where it ends by itself. */
const kept = (streamTool: StreamTool, command: string, args: readonly string[], reader: () => (line: string) => void): Disposable => {
  let timer: NodeJS.Timeout | undefined
  let running: Disposable | undefined
  const start = (): void => {
    running = streamTool(command, args, reader(), () => {
      timer = setTimeout(start, respite)
      timer.unref()
    })
  }
  start()
  return {
    [Symbol.dispose]: () => {
      clearTimeout(timer)
      running?.[Symbol.dispose]()
    },
  }
}

/** Work that is done again and again, never twice at a time. */
const repeated = (interval: number, work: () => Promise<void>): Disposable => {
  let busy = false
  const once = (): void => {
    if (busy) return
    busy = true
    void work().finally(() => (busy = false))
  }
  once()
  const timer = setInterval(once, interval)
  timer.unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

/** A tool as a process of its own, line by line. A line that does not end is thrown away. */
export const streamLines: StreamTool = (command, args, line, ended) => {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'], env: toolEnvironment(), cwd: '/', detached: true })
  let rest = ''
  let over = false
  const end = (): void => {
    if (over) return
    over = true
    ended()
  }
  child.stdout.setEncoding('utf8')
  child.stdout.on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > longestLine) rest = ''
    for (const complete of lines) if (complete.length <= longestLine) line(complete)
  })
  child.on('error', end)
  child.on('close', end)
  // Nobody stays alive for it: it ends with the next line that nobody reads.
  child.unref()
  if ('unref' in child.stdout && typeof child.stdout.unref === 'function') child.stdout.unref()
  return {
    [Symbol.dispose]: () => {
      if (over) return
      over = true
      killTool(child)
    },
  }
}
