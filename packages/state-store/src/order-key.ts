const HIGH = /[\uD800-\uFFFF]/

/**
 * A string that sorts by UTF-16 code units as `id` sorts by UTF-8 bytes (SQLite's BINARY), and names it as well. The two orders differ only in that surrogates,
 * which stand for what comes last, have lower code units than U+E000 to U+FFFF: these trade places. Well-formed ids only.
 */
export const orderKey = (id: string): string => {
  if (!HIGH.test(id)) return id
  let key = ''
  for (let index = 0; index < id.length; index += 1) {
    const unit = id.charCodeAt(index)
    key += String.fromCharCode(unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800)
  }
  return key
}

/** What `orderKey` made the key of. */
export const idOfKey = (key: string): string => {
  if (!HIGH.test(key)) return key
  let id = ''
  for (let index = 0; index < key.length; index += 1) {
    const unit = key.charCodeAt(index)
    id += String.fromCharCode(unit < 0xd800 ? unit : unit < 0xf800 ? unit + 0x800 : unit - 0x2000)
  }
  return id
}

export const compareKeys = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
