// Names, details and output come from strangers: nothing of them may steer the terminal (escape sequences, carriage returns, text direction).
const unsafe = /(?![\n\t])\p{Cc}|\p{Bidi_Control}|[\u2028\u2029]/gu

/** Text that is safe to print: control characters are shown as `·`; line breaks and tabs stay. */
export const printable = (text: string): string => text.replaceAll('\r\n', '\n').replace(unsafe, '·')

/** The same, on one line. */
export const oneLine = (text: string): string =>
  printable(text)
    .replaceAll(/\s*\n\s*/g, ' ')
    .trim()

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** `1536` -> `1.5 KiB`. */
export const bytes = (count: number): string => {
  let value = count
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

/** `61500` -> `1m01s`. */
export const elapsed = (milliseconds: number): string => {
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(1)}s`
  const seconds = Math.round(milliseconds / 1000)
  return `${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, '0')}s`
}

/** `61500` -> `1m ago`. */
export const ago = (milliseconds: number): string => {
  const seconds = Math.max(0, Math.round(milliseconds / 1000))
  if (seconds < 100) return `${seconds}s ago`
  const minutes = Math.round(seconds / 60)
  if (minutes < 100) return `${minutes}m ago`
  const hours = Math.round(minutes / 60)
  return hours < 48 ? `${hours}h ago` : `${Math.round(hours / 24)}d ago`
}
