/** A number that a tool wrote, with nothing around it; anything else (`[N/A]`, `[Not Supported]`, `ERR!`, nothing) is unknown, which is not 0. */
export const numberOf = (value: unknown): number | undefined => {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? value : undefined
  if (typeof value !== 'string' || !/^\d{1,20}(\.\d{1,20})?$/.test(value.trim())) return undefined
  return Number(value)
}

/** Text that a tool wrote and that says something. */
export const textOf = (value: unknown): string | undefined => {
  if (typeof value !== 'string') return undefined
  const text = value.trim()
  return text === '' || text.length > 256 || /^\[?(n\/?a|not supported|not available|unknown|unknown error|err!|none)\]?$/i.test(text) || /\p{Cc}/u.test(text)
    ? undefined
    : text
}

/** As sysfs writes it, in lower case and with a domain of four digits: nvidia-smi writes `00000000:01:00.0`. */
export const pciAddressOf = (value: unknown): string | undefined => {
  const match = /^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])$/i.exec(typeof value === 'string' ? value.trim() : '')
  if (match === null) return undefined
  const domain = Number.parseInt(match[1] ?? '0', 16)
    .toString(16)
    .padStart(4, '0')
  return `${domain}:${match[2]}`.toLowerCase()
}

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
export const uuidOf = (value: unknown): string | undefined => {
  const text = textOf(value)
  return text !== undefined && uuid.test(text) ? text.toLowerCase() : undefined
}

export type Fields = Readonly<Record<string, unknown>>
export const fieldsOf = (value: unknown): Fields => (typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {})
export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

/** The JSON that a tool wrote, which may have warned of something in the lines before it. */
export const jsonOf = (text: string): unknown => {
  const start = /^[[{]/m.exec(text)?.index
  if (start === undefined) return undefined
  try {
    return JSON.parse(text.slice(start))
  } catch {
    return undefined
  }
}

/** `{ value: 64, unit: 'GB' }` of amd-smi in bytes. Its megabytes are of 2^20 bytes. */
export const bytesOf = (value: unknown): number | undefined => {
  const { value: amount, unit } = fieldsOf(value)
  const scale = typeof unit === 'string' ? scales.get(unit.toUpperCase()) : undefined
  const number = numberOf(amount)
  return number === undefined || scale === undefined ? undefined : number * scale
}
const scales = new Map([
  ['B', 1],
  ['KB', 2 ** 10],
  ['MB', 2 ** 20],
  ['GB', 2 ** 30],
])
export const mebibyte = 2 ** 20
