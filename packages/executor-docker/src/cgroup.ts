import { readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { EngineCounters } from './engine-client.ts'

/** Where the kernel shows what it counts for a container: a directory for each controller, which is the same one for all of them in version 2. */
export type CgroupPlace =
  | { readonly version: 1; readonly cpuacct: string; readonly memory?: string; readonly blkio?: string; readonly pids?: string }
  | { readonly version: 2; readonly directory: string }

/** What one process's `cgroup` file and this one's `mountinfo` say, both below `/proc`: cgroups(7), and proc_pid_mountinfo(5). */
export interface CgroupTexts {
  readonly cgroup: string
  readonly mountinfo: string
}

interface Mount {
  readonly type: string
  /** Which directory of the hierarchy is mounted. */
  readonly root: string
  readonly at: string
  readonly options: readonly string[]
}

/** `31 23 0:28 /root /mount/point rw,relatime shared:1 - type source options`; a blank in a path is `\040`. */
const mountsIn = (text: string): readonly Mount[] =>
  text.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ')
    const [, , , root, at] = before.split(' ')
    const [type = '', , options = ''] = after.split(' ')
    return root === undefined || at === undefined || !type.startsWith('cgroup') ? [] : [{ type, root, at, options: options.split(',') }]
  })

/** `hierarchy:controller,controller:/path`. */
const pathsIn = (text: string): readonly { readonly controllers: readonly string[]; readonly path: string }[] =>
  text.split('\n').flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    return controllers === undefined || path === undefined ? [] : [{ controllers: controllers.split(','), path }]
  })

/** The directory of a cgroup, if it lies below what is mounted there. */
const below = ({ root, at }: Mount, path: string): string | undefined => {
  const inside = relative(root, path)
  return inside.startsWith('..') || path.split('/').includes('..') ? undefined : join(at, inside)
}

/**
 * Where the cgroup of a process lies that belongs to this container; nothing where its path does not name the container: then the process is another one, of this machine
 * and not of the engine's.
 */
export const placeOf = ({ cgroup, mountinfo }: CgroupTexts, container: string): CgroupPlace | undefined => {
  const mounts = mountsIn(mountinfo)
  const paths = pathsIn(cgroup).filter(({ path }) => path.includes(container))
  const controller = (name: string): string | undefined => {
    const path = paths.find(({ controllers }) => controllers.includes(name))?.path
    const mount = mounts.find(({ type, options }) => type === 'cgroup' && options.includes(name))
    return path === undefined || mount === undefined ? undefined : below(mount, path)
  }
  const cpuacct = controller('cpuacct')
  if (cpuacct !== undefined) {
    const [memory, blkio, pids] = [controller('memory'), controller('blkio'), controller('pids')]
    return { version: 1, cpuacct, ...(memory !== undefined && { memory }), ...(blkio !== undefined && { blkio }), ...(pids !== undefined && { pids }) }
  }
  const path = paths.find(({ controllers }) => controllers.length === 1 && controllers[0] === '')?.path
  const mount = mounts.find(({ type }) => type === 'cgroup2')
  const directory = path === undefined || mount === undefined ? undefined : below(mount, path)
  return directory === undefined ? undefined : { version: 2, directory }
}

/** Where engines put a container unless they are told otherwise, by themselves and through systemd. What lies there is the container's, as its id is nobody else's. */
export const usualPlaces = (mountinfo: string, container: string): readonly CgroupPlace[] =>
  [`/docker/${container}`, `/system.slice/docker-${container}.scope`].flatMap(
    (path) => placeOf({ cgroup: `1:cpuacct,memory,blkio,pids:${path}\n0::${path}\n`, mountinfo }, container) ?? [],
  )

/** The place of another container of the same engine. */
export const placeFor = (place: CgroupPlace, from: string, to: string): CgroupPlace =>
  Object.fromEntries(Object.entries(place).map(([name, value]) => [name, typeof value === 'string' ? value.replaceAll(from, to) : value])) as CgroupPlace

const read = (directory: string | undefined, name: string): string | undefined => {
  if (directory === undefined) return undefined
  try {
    return readFileSync(join(directory, name), 'utf8')
  } catch {
    return undefined
  }
}
const number = (text: string | undefined): number | undefined => (text !== undefined && /^\d+\s*$/.test(text) ? Number(text) : undefined)
const sum = (values: Iterable<string | undefined>): number => [...values].reduce((total, value) => total + Number(value ?? 0), 0)

/** `8:0 Read 4096`, a line for each device and operation: https://docs.kernel.org/admin-guide/cgroup-v1/blkio-controller.html */
const blocksOf1 = (text: string | undefined) =>
  text === undefined
    ? {}
    : {
        blockReadBytes: sum(text.matchAll(/^\d+:\d+ Read (\d+)$/gm).map(([, bytes]) => bytes)),
        blockWriteBytes: sum(text.matchAll(/^\d+:\d+ Write (\d+)$/gm).map(([, bytes]) => bytes)),
      }
/** `8:16 rbytes=1459200 wbytes=314773504 rios=192 …`: https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files */
const blocksOf2 = (text: string | undefined) =>
  text === undefined
    ? {}
    : {
        blockReadBytes: sum(text.matchAll(/^\d+:\d+ .*\brbytes=(\d+)/gm).map(([, bytes]) => bytes)),
        blockWriteBytes: sum(text.matchAll(/^\d+:\d+ .*\bwbytes=(\d+)/gm).map(([, bytes]) => bytes)),
      }

interface Texts {
  readonly cpuMs: number | undefined
  readonly memory: string | undefined
  readonly peak: string | undefined
  readonly processes: string | undefined
  readonly blocks: Pick<EngineCounters, 'blockReadBytes' | 'blockWriteBytes'>
}

const textsOf = (place: CgroupPlace): Texts => {
  if (place.version === 1) {
    // https://docs.kernel.org/admin-guide/cgroup-v1/cpuacct.html: nanoseconds
    const nanoseconds = number(read(place.cpuacct, 'cpuacct.usage'))
    return {
      cpuMs: nanoseconds === undefined ? undefined : nanoseconds / 1e6,
      memory: read(place.memory, 'memory.usage_in_bytes'),
      peak: read(place.memory, 'memory.max_usage_in_bytes'),
      processes: read(place.pids, 'pids.current'),
      blocks: blocksOf1(read(place.blkio, 'blkio.throttle.io_service_bytes_recursive') ?? read(place.blkio, 'blkio.throttle.io_service_bytes')),
    }
  }
  const { directory } = place
  const microseconds = /^usage_usec (\d+)$/m.exec(read(directory, 'cpu.stat') ?? '')?.[1]
  return {
    cpuMs: microseconds === undefined ? undefined : Number(microseconds) / 1000,
    memory: read(directory, 'memory.current'),
    // Since Linux 5.19.
    peak: read(directory, 'memory.peak'),
    processes: read(directory, 'pids.current'),
    blocks: blocksOf2(read(directory, 'io.stat')),
  }
}

/** What the kernel has counted by now; nothing where the cgroup is not there (any more). What this kernel does not count is absent. */
export const countersAt = (place: CgroupPlace): EngineCounters | undefined => {
  const { cpuMs, memory, peak, processes, blocks } = textsOf(place)
  if (cpuMs === undefined) return undefined
  const [held, most, count] = [number(memory), number(peak), number(processes)]
  return {
    cpuMs,
    ...(held !== undefined && { memory: held }),
    ...(most !== undefined && { memoryPeak: most }),
    ...(count !== undefined && { processes: count }),
    ...blocks,
  }
}

/** Some process in the cgroup, as this one's namespace counts. */
export const processAt = (place: CgroupPlace): number | undefined => {
  const first = read(place.version === 1 ? place.cpuacct : place.directory, 'cgroup.procs')?.split('\n')[0]
  return first !== undefined && /^[1-9]\d*$/.test(first) ? Number(first) : undefined
}

/** All interfaces but the loop, of `/proc/<pid>/net/dev`: proc_pid_net(5). */
export const networkIn = (text: string): Pick<EngineCounters, 'networkReceivedBytes' | 'networkSentBytes'> => {
  const rows = text.split('\n').flatMap((line) => {
    const [, name, values] = /^\s*([^:\s]+):\s*(.*)$/.exec(line) ?? []
    return name === undefined || values === undefined || name === 'lo' ? [] : [values.trim().split(/\s+/)]
  })
  return rows.length === 0 ? {} : { networkReceivedBytes: sum(rows.map((row) => row[0])), networkSentBytes: sum(rows.map((row) => row[8])) }
}
