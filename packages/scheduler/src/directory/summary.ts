import type { Refusal } from '@skrei/job-spec'

export interface NodeRefusals {
  readonly node: string
  readonly refusals: readonly Refusal[]
}

/** One sentence for people: how many nodes said no, and why, with numbers: "0 of 7 nodes could run this: 5 have no engine docker; 2 have 512 MiB of memory free, 2 GiB asked". */
export const sumUp = (nodes: readonly NodeRefusals[], known: number): string => {
  if (known === 0) return 'no node is known that could run this'
  const groups = new Map<string, { readonly refusal: Refusal; count: number }>()
  for (const { refusals } of nodes) {
    for (const [key, refusal] of new Map(refusals.map((one) => [`${one.code} ${one.detail}`, one]))) {
      const group = groups.get(key)
      if (group) group.count++
      else groups.set(key, { refusal, count: 1 })
    }
  }
  const parts = [...groups]
    .sort(([a, { count: x }], [b, { count: y }]) => y - x || (a < b ? -1 : 1))
    .slice(0, mostReasons)
    .map(([, { refusal, count }]) => `${count} ${phrase(refusal, count === 1)} (${refusal.code})`)
  const unanswered = known - nodes.length
  if (unanswered > 0) parts.push(`${unanswered} gave no answer in time: busy, or away`)
  return `0 of ${known} ${known === 1 ? 'node' : 'nodes'} could run this: ${parts.join('; ')}`
}

const mostReasons = 8

const phrase = ({ code, detail, resource, wanted, available }: Refusal, one: boolean): string => {
  const has = one ? 'has' : 'have'
  if (resource !== undefined && wanted !== undefined && available !== undefined && code !== 'input-too-large') {
    const of = resource === 'gpu' ? '' : ` of ${resource}`
    return `${has} ${amount(resource, available)}${of} ${code === 'busy' ? 'free' : 'in all'}, ${amount(resource, wanted)} asked`
  }
  if (code === 'queue-full') return `${has} a full queue`
  if (code === 'engine-unavailable' || code === 'source-unsupported' || code === 'publisher-unsupported' || code === 'secret-unknown') return `${has} ${detail}`
  return `${one ? 'says' : 'say'}: ${detail}`
}

const binary = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** A quantity for people: `500m` CPU, `512 MiB`, `2 GPUs`. */
const amount = (resource: 'cpu' | 'memory' | 'disk' | 'gpu', value: number): string => {
  if (resource === 'gpu') return `${value} GPU${value === 1 ? '' : 's'}`
  if (resource === 'cpu') return value % 1000 === 0 ? String(value / 1000) : `${value}m`
  const power = value < 1 ? 0 : Math.min(binary.length - 1, Math.floor(Math.log2(value) / 10))
  const scaled = value / 1024 ** power
  return `${Number.isInteger(scaled) ? scaled : scaled.toFixed(1)} ${binary[power]}`
}
