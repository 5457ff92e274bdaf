import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { withTemporaryFolder } from './temporary.ts'

/** What `node --cpu-prof` writes: https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
    readonly children?: readonly number[]
  }[]
  readonly samples: readonly number[]
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[]
}

const shown = 40

const packageOf = (url: string): string => {
  const own = /\/((?:packages|apps|benchmarks)(?:\/(?!src\/)[^/]+)?)\//.exec(url)?.[1]
  if (own !== undefined && !url.includes('/node_modules/')) return own
  const installed = url
    .split('/node_modules/')
    .at(-1)
    ?.match(/^(?:@[^/]+\/)?[^/]+/)?.[0]
  return url.includes('/node_modules/') ? (installed ?? url) : url.startsWith('node:') ? url : url === '' ? '(engine)' : url
}

const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1).padStart(5)} %`

/** Time by package and by function, of the function alone and with all that it calls, without the time in which nothing ran. */
const times = ({ nodes, samples, timeDeltas }: CpuProfile): string => {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]))
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)))
  const packages = new Map<string, number>()
  const functions = new Map<string, number>()
  const inclusive = new Map<string, number>()
  const nameOf = (id: number): string => {
    const frame = frames.get(id)
    if (frame === undefined) return ''
    const place = packageOf(frame.url)
    const file = frame.url.split('/').at(-1) ?? ''
    return `${frame.functionName || '(anonymous)'}  ${place}${file && place !== frame.url ? ` ${file}:${frame.lineNumber + 1}` : ''}`
  }
  const names = new Map(nodes.map(({ id }) => [id, nameOf(id)]))
  /** A function that calls itself counts once. */
  const stackOf = (id: number): ReadonlySet<string> => {
    const stack = new Set<string>()
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) stack.add(names.get(at) ?? '')
    return stack
  }
  let all = 0
  samples.forEach((id, index) => {
    const frame = frames.get(id)
    if (frame === undefined || frame.functionName === '(idle)') return
    const time = timeDeltas[index] ?? 0
    const place = packageOf(frame.url)
    const name = names.get(id) ?? ''
    all += time
    packages.set(place, (packages.get(place) ?? 0) + time)
    functions.set(name, (functions.get(name) ?? 0) + time)
    for (const caller of stackOf(id)) inclusive.set(caller, (inclusive.get(caller) ?? 0) + time)
  })
  const lines = (table: ReadonlyMap<string, number>): string[] =>
    [...table]
      .sort(([, a], [, b]) => b - a)
      .slice(0, shown)
      .map(([name, time]) => `  ${percent(time, all)}  ${name}`)
  return [
    `${(all / 1e6).toFixed(1)} s on the main thread`,
    'by package',
    ...lines(packages),
    'by function',
    ...lines(functions),
    'by function, with what it calls',
    ...lines(inclusive),
  ].join('\n')
}

/** Runs something with flags that make Node write a profile, and prints to standard error where its time went. */
export const withProfile = <T>(run: (flags: readonly string[]) => Promise<T>): Promise<T> =>
  withTemporaryFolder(async (folder) => {
    const result = await run(['--cpu-prof', `--cpu-prof-dir=${folder}`])
    for (const file of globSync('*.cpuprofile', { cwd: folder })) console.error(times(JSON.parse(readFileSync(join(folder, file), 'utf8')) as CpuProfile))
    return result
  })
