import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { limitModule, ModuleError } from '../src/module-limits.ts'
import { webAssembly } from '../src/webassembly.ts'
import { modulePath } from './modules.ts'

const read = (name: string) => new Uint8Array(readFileSync(modulePath(name)))
const limits = { pages: 64, provides: (module: string) => module === 'wasi_snapshot_preview1' }
const names = ['programs', 'rust', 'go', 'hostile', 'grows'] as const
const programs = read('programs')
const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]

test.each(names)('%s is as valid as before, and limited twice it is the same', (name) => {
  const once = limitModule(read(name), { ...limits, pages: 1024 })
  expect(() => new webAssembly.Module(once.bytes)).not.toThrow()
  expect(limitModule(once.bytes, { ...limits, pages: 1024 }).bytes).toEqual(once.bytes)
})

test('a maximum that the module has itself stays where it is lower', () => {
  const module = Uint8Array.from([...header, 5, 4, 1, 1, 1, 3])
  expect([...limitModule(module, limits).bytes]).toEqual([...module])
  expect([...limitModule(module, { ...limits, pages: 2 }).bytes]).toEqual([...header, 5, 4, 1, 1, 1, 2])
})

test.each<[string, number[], RegExp]>([
  ['nothing', [], /not a WebAssembly binary/],
  ['text', [...Buffer.from('(module (memory 1))')], /not a WebAssembly binary/],
  ['a component', [0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0], /component/],
  ['another version', [0, 0x61, 0x73, 0x6d, 2, 0, 0, 0], /unknown version/],
  ['a section longer than the file', [...header, 1, 0xff, 0x7f], /truncated/],
  ['a number of six bytes', [...header, 5, 0x80, 0x80, 0x80, 0x80, 0x80, 1], /invalid number/],
  ['a number beyond 32 bits', [...header, 5, 0xff, 0xff, 0xff, 0xff, 0x1f], /invalid number/],
  ['a section with bytes left over', [...header, 5, 4, 1, 0, 1, 1], /left over/],
  ['a section that ends too early', [...header, 5, 2, 1, 0], /truncated/],
  ['more entries than the section holds', [...header, 5, 6, 0xff, 0xff, 0xff, 0xff, 0x0f, 0], /truncated/],
  ['two memories', [...header, 5, 5, 2, 0, 1, 0, 1], /more than one memory/],
  ['a shared memory', [...header, 5, 4, 1, 3, 1, 1], /shared/],
  ['a 64-bit memory', [...header, 5, 3, 1, 4, 1], /64-bit/],
  ['unknown flags', [...header, 5, 3, 1, 8, 1], /unknown flags/],
  ['an enormous table', [...header, 4, 7, 1, 0x70, 0, 0x80, 0xad, 0xe2, 0x04], /table of/],
  ['many tables', [...header, 4, 52, 17, ...Array.from({ length: 17 }, () => [0x70, 0, 1]).flat()], /more than 16 tables/],
  ['an imported global', [...header, 2, 8, 1, 1, 0x65, 1, 0x67, 3, 0x7f, 0], /e\.g \(a global\)/],
  ['a name that is not UTF-8', [...header, 2, 6, 1, 1, 0xff, 1, 0x67, 0], /not UTF-8/],
])('%s is refused with its reason', (_, bytes, reason) => {
  expect(() => limitModule(Uint8Array.from(bytes), limits)).toThrow(reason)
})

test('any cut and any changed byte is refused or stays a module whose memory is limited', () => {
  const attempt = (bytes: Uint8Array<ArrayBuffer>) => {
    try {
      const { bytes: limited } = limitModule(bytes, limits)
      expect(() => limitModule(limited, limits)).not.toThrow()
    } catch (error) {
      expect(error).toBeInstanceOf(ModuleError)
    }
  }
  fc.assert(
    fc.property(fc.nat(programs.length), (length) => attempt(programs.slice(0, length))),
    { numRuns: 100 },
  )
  fc.assert(
    fc.property(fc.nat(2000), fc.nat(255), (at, value) => {
      const changed = programs.slice()
      changed[at] = value
      attempt(changed)
    }),
    { numRuns: 500 },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (tail) => attempt(Uint8Array.from([...header, ...tail]))),
    { numRuns: 2000 },
  )
})
