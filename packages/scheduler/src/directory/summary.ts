import { type Refusal, type RefusalCode } from '@skrei/job-spec'

export interface NodeRefusals {
  readonly node: string
  readonly refusals: readonly Refusal[]
}

const names: Readonly<Partial<Record<RefusalCode, string>>> = { busy: 'are busy', 'queue-full': 'have a full queue' }

/** One sentence for people: how many nodes said no, and why, with numbers: "0 of 7 nodes could run this: 5 no engine docker, 2 …". */
export const sumUp = (nodes: readonly NodeRefusals[], known: number): string => {
  if (known === 0) return 'no other node is known, and this one runs nothing itself'
  const groups = new Map<string, number>()
  for (const { refusals } of nodes) {
    for (const text of new Set(refusals.map(describe))) groups.set(text, (groups.get(text) ?? 0) + 1)
  }
  const unanswered = known - nodes.length
  const parts = [...groups].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).map(([text, count]) => `${count} ${text}`)
  if (unanswered > 0) parts.push(`${unanswered} did not answer in time`)
  return `0 of ${known} ${known === 1 ? 'node' : 'nodes'} could run this: ${parts.slice(0, 8).join('; ')}`
}

const describe = ({ code, detail, resource, wanted, available }: Refusal): string => {
  if (resource !== undefined && wanted !== undefined && available !== undefined) {
    const has = code === 'busy' ? 'free' : 'in all'
    return `${resource === 'gpu' ? `with ${available}` : `with ${amount(resource, available)} of ${resource}`} ${has}, ${amount(resource, wanted)} asked (${code})`
  }
  return `${names[code] ?? detail} (${code})`
}

const binary = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** A quantity for people: `500m` CPU, `512 MiB`, `2 GPUs`. */
export const amount = (resource: 'cpu' | 'memory' | 'disk' | 'gpu', value: number): string => {
  if (resource === 'gpu') return `${value} GPU${value === 1 ? '' : 's'}`
  if (resource === 'cpu') return value % 1000 === 0 ? String(value / 1000) : `${value}m`
  const power = value < 1 ? 0 : Math.min(binary.length - 1, Math.floor(Math.log2(value) / 10))
  const scaled = value / 1024 ** power
  return `${Number.isInteger(scaled) ? scaled : scaled.toFixed(1)} ${binary[power]}`
}
