/** Characters: what is longer is rare, and takes its time anyway. None of it is more than `limits` of a document allow. */
const longest = 65_536
const deepest = 32
/** YAML takes no key that is much longer. */
const longestKey = 512
/** Without escapes that have other ways to be written, and with nothing that has to be looked at as Unicode. */
const simple = /^[\x20-\x7e]*$/

/**
 * The value of a text that is JSON as `JSON.stringify` writes it, as programs send it; undefined for every other text, and for what the reader of documents has something to say
 * about: that is many times as slow, since it knows where each thing stands. What comes back is what that reader makes of the text.
 */
export const exactJson = (text: string): { readonly value: unknown } | undefined => {
  if (text.length > longest || !simple.test(text) || text.includes('\\u') || text.includes('__proto__')) return undefined
  try {
    const value: unknown = JSON.parse(text)
    // A key that stands there twice, a number that is not exact, or anything else that has been lost shows here.
    return isPlain(value, 0) && JSON.stringify(value) === text ? { value } : undefined
  } catch {
    return undefined
  }
}

const isPlain = (value: unknown, depth: number): boolean => {
  if (typeof value === 'number') return !Number.isInteger(value) || Number.isSafeInteger(value)
  if (typeof value !== 'object' || value === null) return true
  if (depth === deepest) return false
  for (const key of Object.keys(value)) if (key.length > longestKey || !isPlain((value as Record<string, unknown>)[key], depth + 1)) return false
  return true
}
