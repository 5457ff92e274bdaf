import * as z from 'zod'

// Quantities as in Kubernetes: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
const decimalExponents: Readonly<Record<string, bigint>> = { n: -9n, u: -6n, m: -3n, '': 0n, k: 3n, M: 6n, G: 9n, T: 12n, P: 15n, E: 18n }
const binaryExponents: Readonly<Record<string, bigint>> = { Ki: 10n, Mi: 20n, Gi: 30n, Ti: 40n, Pi: 50n, Ei: 60n }
const quantityPattern = /^\+?(\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,2}|[KMGTPE]i|[numkMGTPE])?$/

/** The quantity in units of `10^-shift`, if that is a whole number that a `number` holds exactly. Integers throughout: never a float. */
const parseScaled = (text: string, shift: bigint): number | undefined => {
  const match = text.length <= 64 ? quantityPattern.exec(text) : null
  if (!match) return undefined
  const [, digits = '', suffix = ''] = match
  const [whole = '', fraction = ''] = digits.split('.')
  const binary = binaryExponents[suffix]
  const exponent = (binary !== undefined ? 0n : (decimalExponents[suffix] ?? BigInt(suffix.slice(1)))) - BigInt(fraction.length) + shift
  const mantissa = BigInt(whole + fraction) * 2n ** (binary ?? 0n)
  const scaled = exponent >= 0n ? mantissa * 10n ** exponent : mantissa % 10n ** -exponent === 0n ? mantissa / 10n ** -exponent : undefined
  return scaled !== undefined && scaled <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(scaled) : undefined
}

/** Milli-CPU of a CPU quantity (`500m`, `0.5`, `2`); undefined if it is none, negative, or finer than a thousandth. */
export const parseCpu = (text: string): number | undefined => parseScaled(text, 3n)
/** Bytes of a quantity (`512Mi`, `1Gi`, `1.5k`, `1e6`); undefined if it is none, negative, or not a whole number of bytes. */
export const parseBytes = (text: string): number | undefined => parseScaled(text, 0n)

/** The shortest CPU quantity for milli-CPU: `500m`, `2`. */
export const formatCpu = (milliCpu: number): string => (milliCpu % 1000 === 0 ? String(milliCpu / 1000) : `${milliCpu}m`)
/** The quantity with the largest binary suffix that is exact: `512Mi`, `1000`. */
export const formatBytes = (bytes: number): string => {
  if (bytes === 0) return '0'
  const suffixes = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi']
  let rest = bytes
  let index = 0
  while (rest % 1024 === 0 && index < suffixes.length - 1) {
    rest /= 1024
    index += 1
  }
  return `${rest}${suffixes[index] ?? ''}`
}

const quantity = (parse: (text: string) => number | undefined, format: (value: number) => string, expected: string, examples: string[]) =>
  z
    .codec(z.union([z.number(), z.string().max(64).meta({ pattern: quantityPattern.source })], { error: `expected ${expected}` }), z.int().nonnegative(), {
      decode: (value, context) => {
        const result = parse(String(value))
        if (result !== undefined) return result
        context.issues.push({ code: 'custom', input: value, message: `expected ${expected}`, params: { code: 'bad-quantity' } })
        return z.NEVER
      },
      // A plain number needs no quotes in YAML.
      encode: (value) => (/^\d+$/.test(format(value)) ? Number(format(value)) : format(value)),
    })
    .meta({ examples })

/** CPU in milli-CPU: `500m`, `0.5`, `2`. */
export const cpuSchema = quantity(parseCpu, formatCpu, 'a CPU quantity in whole thousandths, such as 2, 0.5 or 500m', ['500m', '2'])
/** Bytes: `512Mi`, `1Gi`, `1000000`. */
export const bytesSchema = quantity(parseBytes, formatBytes, 'a quantity of whole bytes below 8Pi, such as 512Mi, 1Gi or 1000000', ['512Mi', '1Gi'])

const durationPattern = /^(?=\d)(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?(?:(\d{1,12})ms)?$/
const durationUnits = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
] as const
const longestDuration = 31_536_000_000
const durationExpected = 'expected a duration above 0 and up to 365d, such as 500ms, 90s or 1h30m'

/** Milliseconds of a duration: `500ms`, `90s`, `1h30m`, `2d`. Undefined if it is none, 0, or longer than 365 days. */
export const parseDuration = (text: string): number | undefined => {
  const match = durationPattern.exec(text)
  if (!match) return undefined
  const total = durationUnits.reduce((sum, [, size], index) => sum + Number(match[index + 1] ?? 0) * size, 0)
  return total > 0 && total <= longestDuration ? total : undefined
}

/** The duration in the largest single unit that is exact: `90s`, `1h`. */
export const formatDuration = (milliseconds: number): string => {
  const [unit, size] = durationUnits.find(([, size]) => milliseconds % size === 0) ?? ['ms', 1]
  return `${milliseconds / size}${unit}`
}

/** A duration in milliseconds: `500ms`, `90s`, `1h30m`. */
export const durationSchema = z
  .codec(z.string({ error: durationExpected }).max(64).meta({ pattern: durationPattern.source }), z.int().positive().max(longestDuration), {
    decode: (value, context) => {
      const result = parseDuration(value)
      if (result !== undefined) return result
      context.issues.push({ code: 'custom', input: value, message: durationExpected, params: { code: 'bad-duration' } })
      return z.NEVER
    },
    encode: formatDuration,
  })
  .meta({ examples: ['90s', '1h30m'] })
