import * as z from 'zod'

// Kubernetes quantities: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
const suffixes: Readonly<Record<string, bigint>> = {
  '': 1n,
  k: 10n ** 3n,
  M: 10n ** 6n,
  G: 10n ** 9n,
  T: 10n ** 12n,
  P: 10n ** 15n,
  Ki: 2n ** 10n,
  Mi: 2n ** 20n,
  Gi: 2n ** 30n,
  Ti: 2n ** 40n,
  Pi: 2n ** 50n,
}

const milli = (text: string): bigint | undefined => {
  const match = /^(\d{1,18})(?:\.(\d{1,9}))?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$/.exec(text)
  if (!match) return undefined
  const [, whole = '', fraction = '', suffix = ''] = match
  const scaled = BigInt(whole + fraction) * (suffix === 'm' ? 1n : 1000n * (suffixes[suffix] ?? 1n))
  const divisor = 10n ** BigInt(fraction.length)
  return scaled % divisor === 0n ? scaled / divisor : undefined
}

const quantity = (unit: 'cpu' | 'bytes') =>
  z.codec(z.union([z.number().nonnegative(), z.string().max(64)]), z.int().nonnegative(), {
    decode: (value, context) => {
      const thousandths = milli(String(value))
      const result = thousandths === undefined ? undefined : unit === 'cpu' ? thousandths : thousandths % 1000n === 0n ? thousandths / 1000n : undefined
      if (result !== undefined && result <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(result)
      context.issues.push({
        code: 'custom',
        input: value,
        message: unit === 'cpu' ? 'expected a CPU quantity such as 2, 0.5 or 500m' : 'expected a quantity of whole bytes such as 512Mi, 1Gi or 1000000',
      })
      return z.NEVER
    },
    encode: (value) => (unit === 'cpu' ? `${value}m` : value),
  })

/** CPU in milli-CPU: `500m`, `0.5`, `2`. */
export const cpuSchema = quantity('cpu')
/** Bytes: `512Mi`, `1Gi`, `1000000`. */
export const bytesSchema = quantity('bytes')

const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** A duration in milliseconds: `500ms`, `90s`, `1h30m`. */
export const durationSchema = z.codec(z.string().max(64), z.int().positive().max(31_536_000_000), {
  decode: (value, context) => {
    if (/^(\d{1,12}(ms|s|m|h|d))+$/.test(value)) {
      let total = 0
      for (const [, count, unit] of value.matchAll(/(\d+)(ms|s|m|h|d)/g)) total += Number(count) * (durationUnits[unit ?? ''] ?? 0)
      return total
    }
    context.issues.push({ code: 'custom', input: value, message: 'expected a duration such as 500ms, 90s or 1h30m' })
    return z.NEVER
  },
  encode: (value) => `${value}ms`,
})
