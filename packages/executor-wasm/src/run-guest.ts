import { createHash } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import type { GuestEnding, GuestJob, GuestResult } from './guest-job.ts'
import { type LimitedModule, limitModule, ModuleError, pageBytes } from './module-limits.ts'
import { EndingError } from './wasi/ending.ts'
import { providesCall, type Wasi, wasiFor, wasiModule } from './wasi/preview1.ts'
import { type WasmImports, type WasmInstance, type WasmMemory, type WasmModule, webAssembly } from './webassembly.ts'

/**
 * V8 does not replace code in the middle of a call: a loop that is entered once stays in the code of the fast compiler, several times slower, for ever.
 * Below this size the slow compiler alone is used; above it starting would take too long.
 */
const optimiseBelow = 1_000_000

/** Runs a guest to its end, in this thread. Never throws. `grown` is called whenever there is more output. */
export const runGuest = (job: GuestJob, grown: () => void): GuestResult => {
  const output = outputOf(job, grown)
  const state: { memory?: WasmMemory; sha256?: string; wasi?: Wasi } = {}
  const ending = guarded(() => {
    const bytes = readModule(job)
    state.sha256 = createHash('sha256').update(bytes).digest('hex')
    const limited = limitModule(bytes, { pages: Math.min(65_536, Math.floor(job.memory / pageBytes)), provides: providesCall })
    const module = compiled(limited)
    const wasi = wasiFor({ ...job, output: output.write }, () => state.memory?.buffer)
    state.wasi = wasi
    return executed(module, limited, wasi, (memory) => (state.memory = memory))
  })
  const closed = guarded(() => {
    state.wasi?.close()
    output.close()
    return undefined
  })
  return {
    ending: closed ?? ending ?? { type: 'exit', code: 0 },
    truncated: output.truncated(),
    outputBytes: state.wasi?.outputBytes() ?? 0,
    ...(state.memory && { memoryPeak: state.memory.buffer.byteLength }),
    ...(state.sha256 !== undefined && { moduleSha256: state.sha256 }),
  }
}

/** A module that ends at once: `(module (memory (export "memory") 1) (func (export "_start")))`. */
const nothing = new Uint8Array(Buffer.from('AGFzbQEAAAABBAFgAAADAgEABQMBAAEHEwIGbWVtb3J5AgAGX3N0YXJ0AAAKBAECAAs=', 'base64'))

/** Goes once through what every guest needs, so that the first one does not wait for it. */
export const warmUp = (): void => {
  guarded(() => {
    createHash('sha256').update(nothing).digest('hex')
    const limited = limitModule(nothing, { pages: 1, provides: providesCall })
    const setup = { args: [], env: {}, stdin: undefined, mounts: [], seed: new Uint8Array(32), limits: { bytes: 0, entries: 0 }, output: () => undefined }
    const wasi = wasiFor(setup, () => undefined)
    const ending = executed(compiled(limited), limited, wasi, () => undefined)
    wasi.close()
    return ending
  })
}

/** What `work` came to, if it did not go through to its end. */
const guarded = (work: () => GuestEnding | undefined): GuestEnding | undefined => {
  try {
    return work()
  } catch (error) {
    if (error instanceof EndingError) return error.ending
    if (error instanceof ModuleError) return { type: 'failure', code: error.code, detail: error.message }
    return { type: 'fault', message: error instanceof Error ? error.message : String(error) }
  }
}

const executed = (module: WasmModule, limited: LimitedModule, wasi: Wasi, found: (memory: WasmMemory) => void): GuestEnding => {
  const imports = new Map<string, Readonly<Record<string, unknown>>>([[wasiModule, wasi.imports]])
  if (limited.importedMemory !== undefined) {
    const { module: from, name, minimum, maximum } = limited.importedMemory
    const memory = memoryOf({ initial: minimum, maximum })
    imports.set(from, { ...imports.get(from), [name]: memory })
    found(memory)
  }
  try {
    const instance = instantiated(module, Object.fromEntries(imports))
    const { _start: start, memory } = instance.exports
    if (memory instanceof webAssembly.Memory) found(memory)
    if (typeof start === 'function') start()
    return wasi.ending() ?? { type: 'exit', code: 0 }
  } catch (error) {
    // A call that ended the guest is the cause of whatever came out of it.
    const ending = wasi.ending()
    if (ending !== undefined) return ending
    if (error instanceof ModuleError) throw error
    return { type: 'failure', code: 'trap', detail: trapOf(error) }
  }
}

const memoryOf = (descriptor: { readonly initial: number; readonly maximum: number }): WasmMemory => {
  try {
    return new webAssembly.Memory(descriptor)
  } catch (error) {
    throw new ModuleError('out-of-memory', error instanceof Error ? error.message : String(error))
  }
}

const instantiated = (module: WasmModule, imports: WasmImports): WasmInstance => {
  try {
    return new webAssembly.Instance(module, imports)
  } catch (error) {
    if (error instanceof webAssembly.LinkError) throw new ModuleError('module-invalid', error.message)
    if (error instanceof RangeError && /memory/i.test(error.message)) throw new ModuleError('out-of-memory', error.message)
    throw error
  }
}

const trapOf = (error: unknown): string => {
  if (error instanceof RangeError && error.message.includes('call stack')) return 'stack overflow'
  if (error instanceof webAssembly.Exception) return 'an exception that the program did not catch'
  return error instanceof Error ? error.message : String(error)
}

const compiled = (limited: LimitedModule): WasmModule => {
  setFlagsFromString(limited.bytes.length < optimiseBelow ? '--no-liftoff' : '--liftoff')
  let module: WasmModule
  try {
    module = new webAssembly.Module(limited.bytes)
  } catch (error) {
    if (error instanceof webAssembly.CompileError) throw new ModuleError('module-invalid', error.message.replace('WebAssembly.Module(): ', ''))
    throw error
  }
  const exported = new Map(webAssembly.Module.exports(module).map(({ name, kind }) => [name, kind]))
  if (exported.get('_start') !== 'function') {
    const reactor = exported.has('_initialize') ? ': it is a library (a reactor), not a command' : ''
    throw new ModuleError('module-invalid', `it exports no function _start${reactor}`)
  }
  if (limited.importedMemory === undefined && exported.get('memory') !== 'memory')
    throw new ModuleError('module-invalid', 'it exports no memory called "memory"')
  return module
}

const readModule = ({ module: path, maxModuleBytes }: GuestJob): Uint8Array<ArrayBuffer> => {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const stat = fstatSync(file)
    if (!stat.isFile()) throw new Error(`the module is not a file: ${path}`)
    if (stat.size > maxModuleBytes) throw new ModuleError('module-invalid', `it has ${stat.size} bytes, more than the ${maxModuleBytes} that this node runs`)
    const bytes = new Uint8Array(stat.size)
    let at = 0
    while (at < bytes.length) {
      const count = readSync(file, bytes, at, bytes.length - at, at)
      if (count === 0) break
      at += count
    }
    return bytes.subarray(0, at)
  } finally {
    closeSync(file)
  }
}

interface Output {
  readonly write: (stream: 'stdout' | 'stderr', bytes: Uint8Array) => void
  truncated(): readonly ('stdout' | 'stderr')[]
  close(): void
}

/** Writes each stream to its file, up to its limit. */
const outputOf = ({ streams }: GuestJob, grown: () => void): Output => {
  const kept = new Map<'stdout' | 'stderr', { file?: number; length: number; cut: boolean }>([
    ['stdout', { length: 0, cut: false }],
    ['stderr', { length: 0, cut: false }],
  ])
  return {
    write: (stream, bytes) => {
      const held = kept.get(stream)
      if (held === undefined) return
      const room = streams[stream].limit - held.length
      if (bytes.length > room) held.cut = true
      const part = bytes.subarray(0, Math.max(0, room))
      if (part.length === 0) return
      held.file ??= openSync(streams[stream].path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600)
      for (let at = 0; at < part.length; ) at += writeSync(held.file, part, at, part.length - at)
      held.length += part.length
      grown()
    },
    truncated: () => [...kept].filter(([, { cut }]) => cut).map(([stream]) => stream),
    close: () => {
      for (const held of kept.values()) if (held.file !== undefined) closeSync(held.file)
    },
  }
}
