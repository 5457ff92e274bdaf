/** Where a text stops being JSON. */
export interface JsonError {
  readonly offset: number
  readonly expected: string
}

const space = /[ \t\r\n]*/y
const literal = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.+-])/y
const string = /"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\u0000-\u001f]*)*"/y

/**
 * The first place at which a text breaks the grammar of JSON (RFC 8259); undefined if it does not. The YAML reader, which reads the values,
 * is more lenient than JSON, and `JSON.parse` does not always say where it stopped. Linear, and without recursion.
 */
export const jsonError = (text: string): JsonError | undefined => {
  let position = text.startsWith('\ufeff') ? 1 : 0
  const closers: ('}' | ']')[] = []
  const read = (pattern: RegExp): boolean => {
    pattern.lastIndex = position
    if (!pattern.test(text)) return false
    position = pattern.lastIndex
    return true
  }
  const skip = (): string | undefined => {
    read(space)
    return text[position]
  }
  const key = (): JsonError | undefined => {
    if (skip() !== '"' || !read(string)) return { offset: position, expected: 'a key in double quotes' }
    if (skip() !== ':') return { offset: position, expected: '":"' }
    position += 1
    return undefined
  }
  for (;;) {
    // A value.
    const start = skip()
    if (start === '{' || start === '[') {
      const closer = start === '{' ? '}' : ']'
      position += 1
      if (skip() !== closer) {
        closers.push(closer)
        const error = closer === '}' ? key() : undefined
        if (error) return error
        continue
      }
      position += 1
    } else if (start === '"' ? !read(string) : !read(literal)) {
      return { offset: position, expected: start === '"' ? 'text that ends with a double quote on its line, with escapes as in JSON' : 'a value' }
    }
    // What follows it.
    for (;;) {
      const next = skip()
      const closer = closers.at(-1)
      if (closer === undefined) return next === undefined ? undefined : { offset: position, expected: 'the end of the file' }
      if (next !== ',' && next !== closer) return { offset: position, expected: `"," or "${closer}"` }
      position += 1
      if (next === ',') {
        const error = closer === '}' ? key() : undefined
        if (error) return error
        break
      }
      closers.pop()
    }
  }
}
