/** Why a binary is not run. `memory` = it would be, with more memory. */
export class ModuleError extends Error {
  override readonly name = 'ModuleError'
  readonly code: 'module-invalid' | 'out-of-memory'

  constructor(code: 'module-invalid' | 'out-of-memory', message: string) {
    super(message)
    this.code = code
  }
}

export interface LimitedModule {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** A memory that the module wants from outside, in pages. */
  readonly importedMemory?: { readonly module: string; readonly name: string; readonly minimum: number; readonly maximum: number }
}

export interface ModuleLimits {
  /** Pages of 64 KiB that the memory may have at most. */
  readonly pages: number
  /** Whether a function of this module and name is there to import. */
  readonly provides: (module: string, name: string) => boolean
}

export const pageBytes = 65_536
/** Entries cost the host 8 bytes or more each, outside the memory that the task was given. */
const tableEntries = 1_000_000
const tableCount = 16
const sectionImport = 2
const sectionTable = 4
const sectionMemory = 5

/**
 * Writes limits into a WebAssembly binary: the maximum of its memory and of its tables. Strict about what it reads; what it does not need to read
 * is left to the engine's own validation.
 *
 * Format: https://webassembly.github.io/spec/core/binary/modules.html
 */
export const limitModule = (bytes: Uint8Array<ArrayBuffer>, limits: ModuleLimits): LimitedModule => {
  checkHeader(bytes)
  const pieces: Uint8Array[] = [bytes.subarray(0, 8)]
  const reader = readerOf(bytes, 8, bytes.length)
  const found: Found = { memories: 0, tables: 0, unknown: [] }
  while (!reader.done()) {
    const start = reader.at()
    const id = reader.byte()
    const size = reader.u32()
    const content = reader.at()
    reader.skip(size)
    if (id !== sectionImport && id !== sectionTable && id !== sectionMemory) {
      pieces.push(bytes.subarray(start, reader.at()))
      continue
    }
    const section = readerOf(bytes, content, content + size)
    const rewritten = rewrite(id, section, bytes, limits, found)
    if (!section.done()) throw invalid(`section ${id} has bytes left over at byte ${section.at()}`)
    pieces.push(Uint8Array.of(id, ...leb(rewritten.length)), rewritten)
  }
  if (found.unknown.length > 0) throw invalid(`it imports what is not provided: ${listed(found.unknown)}; only functions of wasi_snapshot_preview1 are`)
  return { bytes: joined(pieces), ...(found.importedMemory && { importedMemory: found.importedMemory }) }
}

interface Found {
  memories: number
  tables: number
  readonly unknown: string[]
  importedMemory?: NonNullable<LimitedModule['importedMemory']>
}

const invalid = (message: string) => new ModuleError('module-invalid', message)

const listed = (names: readonly string[]): string => names.slice(0, 10).join(', ') + (names.length > 10 ? ` and ${names.length - 10} more` : '')

const checkHeader = (bytes: Uint8Array): void => {
  const [zero, a, s, m, version0, version1, layer0, layer1] = bytes
  if (bytes.length < 8 || zero !== 0 || a !== 0x61 || s !== 0x73 || m !== 0x6d)
    throw invalid('it is not a WebAssembly binary: its first bytes are not "\\0asm"')
  if (layer0 === 1 && layer1 === 0) throw invalid('it is a component (WASI preview 2): build it as a core module for WASI preview 1 (wasm32-wasip1)')
  if (version0 !== 1 || version1 !== 0 || layer0 !== 0 || layer1 !== 0) throw invalid('it is a WebAssembly binary of an unknown version')
}

const rewrite = (id: number, section: Reader, bytes: Uint8Array, limits: ModuleLimits, found: Found): Uint8Array => {
  const count = section.u32()
  const out: Uint8Array[] = [leb(count)]
  for (let index = 0; index < count; index++) {
    if (id === sectionMemory) out.push(encoded(memoryOf(section, limits, found)))
    else if (id === sectionTable) out.push(...tableOf(section, found))
    else out.push(...importOf(section, bytes, limits, found))
  }
  return joined(out)
}

const importOf = (section: Reader, bytes: Uint8Array, limits: ModuleLimits, found: Found): readonly Uint8Array[] => {
  const start = section.at()
  const module = section.name()
  const name = section.name()
  const kind = section.byte()
  if (kind === 0) {
    section.u32()
    if (!limits.provides(module, name)) found.unknown.push(`${module}.${name}`)
    return [bytes.subarray(start, section.at())]
  }
  if (kind !== 2) {
    // What follows is not read: it is refused as a whole.
    throw invalid(
      `it imports what is not provided: ${listed([...found.unknown, `${module}.${name} (${['', 'a table', '', 'a global', 'a tag'][kind] ?? `kind ${kind}`})`])}`,
    )
  }
  const head = bytes.subarray(start, section.at())
  const memory = memoryOf(section, limits, found)
  found.importedMemory = { module, name, ...memory }
  return [head, encoded(memory)]
}

interface Limits {
  readonly minimum: number
  readonly maximum: number
}

const memoryOf = (section: Reader, { pages }: ModuleLimits, found: Found): Limits => {
  if (++found.memories > 1) throw invalid('it has more than one memory')
  const flags = section.byte()
  if ((flags & 2) !== 0) throw invalid('its memory is shared: threads are not supported')
  if ((flags & 4) !== 0) throw invalid('its memory has 64-bit addresses, which WASI preview 1 has not')
  if (flags > 1) throw invalid(`its memory has unknown flags ${flags}`)
  const minimum = section.u32()
  const maximum = flags === 1 ? section.u32() : pages
  if (minimum > pages) throw new ModuleError('out-of-memory', `it needs ${minimum * pageBytes} bytes of memory to start, of ${pages * pageBytes} allowed`)
  return { minimum, maximum: Math.min(maximum, pages) }
}

const tableOf = (section: Reader, found: Found): readonly Uint8Array[] => {
  if (++found.tables > tableCount) throw invalid(`it has more than ${tableCount} tables`)
  const type = section.byte()
  if (type !== 0x70 && type !== 0x6f) throw invalid(`it has a table of an unsupported type 0x${type.toString(16)}`)
  const flags = section.byte()
  if (flags > 1) throw invalid(`it has a table with unsupported flags ${flags}`)
  const minimum = section.u32()
  const maximum = flags === 1 ? section.u32() : tableEntries
  if (minimum > tableEntries) throw invalid(`it has a table of ${minimum} entries, more than ${tableEntries}`)
  return [Uint8Array.of(type), encoded({ minimum, maximum: Math.min(maximum, tableEntries) })]
}

const encoded = ({ minimum, maximum }: Limits): Uint8Array => Uint8Array.of(1, ...leb(minimum), ...leb(maximum))

const leb = (value: number): Uint8Array => {
  const out: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...out, rest])
    out.push((rest % 128) | 128)
  }
}

const joined = (pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> => {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}

interface Reader {
  at(): number
  done(): boolean
  byte(): number
  u32(): number
  skip(count: number): void
  name(): string
}

const readerOf = (bytes: Uint8Array, start: number, end: number): Reader => {
  let at = start
  const byte = (): number => {
    const value = at < end ? bytes[at] : undefined
    if (value === undefined) throw invalid(`it is truncated or malformed at byte ${at}`)
    at++
    return value
  }
  const u32 = (): number => {
    let value = 0
    for (let place = 0; place < 5; place++) {
      const next = byte()
      if (place === 4 && next > 15) throw invalid(`it has an invalid number at byte ${at - 1}`)
      value += (next & 127) * 128 ** place
      if (next < 128) return value
    }
    throw invalid(`it has an invalid number at byte ${at - 1}`)
  }
  const skip = (count: number): void => {
    if (count > end - at) throw invalid(`it is truncated: ${count} bytes announced at byte ${at}, ${end - at} left`)
    at += count
  }
  return {
    at: () => at,
    done: () => at === end,
    byte,
    u32,
    skip,
    name: () => {
      const length = u32()
      const from = at
      skip(length)
      try {
        return new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(from, at))
      } catch {
        throw invalid(`it has a name that is not UTF-8 at byte ${from}`)
      }
    },
  }
}
