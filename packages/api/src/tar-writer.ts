/** One file of an archive: exactly `size` bytes. */
export interface TarEntry {
  readonly path: string
  readonly size: number
  content(): AsyncIterable<Uint8Array>
}

const block = 512
const encoder = new TextEncoder()

const header = (name: Uint8Array, size: number, type: '0' | 'x'): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(block)
  const text = (offset: number, value: string) => bytes.set(encoder.encode(value), offset)
  bytes.set(name.subarray(0, 100), 0)
  text(100, '0000644\0')
  text(108, '0000000\0')
  text(116, '0000000\0')
  // A size that needs more digits stands in the pax header.
  text(124, `${Math.min(size, 0o77777777777).toString(8).padStart(11, '0')}\0`)
  text(136, '00000000000\0')
  text(148, '        ')
  text(156, type)
  text(257, 'ustar\x0000')
  text(
    148,
    `${bytes
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
  )
  return bytes
}

/** `LENGTH key=value\n`, where LENGTH counts itself. */
const record = (key: string, value: string): string => {
  const rest = encoder.encode(` ${key}=${value}\n`).length
  let length = rest + String(rest).length
  if (String(length).length > String(rest).length) length = rest + String(length).length
  return `${length} ${key}=${value}\n`
}

const padding = (size: number): Uint8Array<ArrayBuffer> => new Uint8Array((block - (size % block)) % block)
const end = (): Uint8Array<ArrayBuffer> => new Uint8Array(2 * block)

/** What stands before a file's bytes. */
const head = (path: string, size: number): Uint8Array<ArrayBuffer>[] => {
  const name = encoder.encode(path)
  const records = `${name.length > 100 ? record('path', path) : ''}${size > 0o77777777777 ? record('size', String(size)) : ''}`
  const body = encoder.encode(records)
  const more = records === '' ? [] : [header(encoder.encode('pax'), body.length, 'x'), body, padding(body.length)]
  return [...more, header(name, size, '0')]
}

const wrongSize = (path: string, bytes: number, size: number): Error =>
  new Error(`${path} has ${bytes > size ? 'more' : 'fewer'} bytes than the ${size} that were said`)

/**
 * A tar archive (ustar, with pax headers for long names and sizes) of plain files, with mode 644 and no times or owners: the same files give the same bytes. Nothing is pulled
 * before what came before it was taken.
 *
 * @throws Error where a file has more or fewer bytes than its size
 */
export async function* tarArchive(entries: AsyncIterable<TarEntry> | Iterable<TarEntry>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { path, size, content } of entries) {
    yield* head(path, size)
    let bytes = 0
    for await (const chunk of content()) {
      bytes += chunk.length
      if (bytes > size) break
      if (chunk.length > 0) yield chunk
    }
    if (bytes !== size) throw wrongSize(path, bytes, size)
    const rest = padding(size)
    if (rest.length > 0) yield rest
  }
  yield end()
}

/** One file whose bytes are all there. */
export interface HeldEntry {
  readonly path: string
  readonly size: number
  readonly content: Uint8Array<ArrayBuffer> | Blob
}

/**
 * The same archive, as one Blob that refers to its files and copies none of them.
 *
 * @throws Error where a file has more or fewer bytes than its size
 */
export const tarBlob = (entries: readonly HeldEntry[]): Blob => {
  const parts = entries.flatMap(({ path, size, content }) => {
    const bytes = content instanceof Blob ? content.size : content.length
    if (bytes !== size) throw wrongSize(path, bytes, size)
    return [...head(path, size), content, padding(size)]
  })
  return new Blob([...parts, end()])
}
