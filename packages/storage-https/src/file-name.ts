const maxBytes = 200
const maxExtensionBytes = 20

const extensionOf = (name: string): string => {
  const dot = name.lastIndexOf('.')
  const extension = dot > 0 ? name.slice(dot) : ''
  return Buffer.byteLength(extension) <= maxExtensionBytes ? extension : ''
}

const cut = (text: string, bytes: number): string => {
  let kept = ''
  let length = 0
  for (const character of text) {
    length += Buffer.byteLength(character)
    if (length > bytes) break
    kept += character
  }
  return kept
}

const decoded = (segment: string): string => {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

/**
 * The name under which the file of a URL is staged: the last segment of its path, decoded, with `_` for slashes, backslashes and control
 * characters, at most 200 bytes long (its extension kept), `file` where there is none.
 */
export const fileNameOf = (url: URL): string => {
  const segment = url.pathname.slice(url.pathname.lastIndexOf('/') + 1)
  const name = decoded(segment).replace(/[\u0000-\u001f\u007f/\\]/g, '_')
  if (name === '' || name === '.' || name === '..') return 'file'
  const extension = extensionOf(name)
  return Buffer.byteLength(name) <= maxBytes ? name : `${cut(name, maxBytes - Buffer.byteLength(extension))}${extension}`
}

/**
 * Names for URLs in their order, each given once: a name that is taken gets the first free number from 2 on before its extension
 * (`a.csv`, `a-2.csv`, `a-3.csv`).
 */
export const fileNamer = (): ((url: URL) => string) => {
  const taken = new Set<string>()
  const nextNumber = new Map<string, number>()
  return (url) => {
    const name = fileNameOf(url)
    let free = name
    const extension = extensionOf(name)
    const stem = name.slice(0, name.length - extension.length)
    for (let number = nextNumber.get(name) ?? 2; taken.has(free); number += 1) {
      free = `${stem}-${number}${extension}`
      nextNumber.set(name, number + 1)
    }
    taken.add(free)
    return free
  }
}
