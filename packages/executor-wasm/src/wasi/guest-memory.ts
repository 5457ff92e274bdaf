import { errno } from './errno.ts'

/** The guest's memory, every access checked: a pointer that leaves it answers `fault`, never an exception of the host's. */
export interface GuestMemory {
  /** A view that is valid until the guest runs again. */
  bytes(pointer: number, length: number): Uint8Array<ArrayBuffer>
  u8(pointer: number): number
  u16(pointer: number): number
  u32(pointer: number): number
  u64(pointer: number): bigint
  setU8(pointer: number, value: number): void
  setU16(pointer: number, value: number): void
  setU32(pointer: number, value: number): void
  setU64(pointer: number, value: bigint): void
}

/** @param buffer the memory's buffer as it is now: it changes when the memory grows, and is absent before the module is instantiated. */
export const guestMemory = (buffer: () => ArrayBuffer | undefined): GuestMemory => {
  let known: ArrayBuffer | undefined
  let view = new DataView(new ArrayBuffer(0))
  const checked = (pointer: number, length: number): DataView => {
    const current = buffer()
    if (current === undefined) throw errno('fault')
    if (current !== known) {
      known = current
      view = new DataView(current)
    }
    if (pointer + length > view.byteLength) throw errno('fault')
    return view
  }
  return {
    bytes: (pointer, length) => new Uint8Array(checked(pointer, length).buffer as ArrayBuffer, pointer, length),
    u8: (pointer) => checked(pointer, 1).getUint8(pointer),
    u16: (pointer) => checked(pointer, 2).getUint16(pointer, true),
    u32: (pointer) => checked(pointer, 4).getUint32(pointer, true),
    u64: (pointer) => checked(pointer, 8).getBigUint64(pointer, true),
    setU8: (pointer, value) => checked(pointer, 1).setUint8(pointer, value),
    setU16: (pointer, value) => checked(pointer, 2).setUint16(pointer, value, true),
    setU32: (pointer, value) => checked(pointer, 4).setUint32(pointer, value, true),
    setU64: (pointer, value) => checked(pointer, 8).setBigUint64(pointer, value, true),
  }
}

/** As in Linux. */
const vectorLimit = 1024

/** The buffers of a scattered read or a gathered write. All are checked before the first is used. */
export const vectors = (memory: GuestMemory, pointer: number, count: number): readonly Uint8Array<ArrayBuffer>[] => {
  if (count > vectorLimit) throw errno('inval')
  const buffers: Uint8Array<ArrayBuffer>[] = []
  let total = 0
  for (let index = 0; index < count; index++) {
    const length = memory.u32(pointer + 8 * index + 4)
    total += length
    buffers.push(memory.bytes(memory.u32(pointer + 8 * index), length))
  }
  // What a call answers is a 32-bit size.
  if (total > 0x7fff_ffff) throw errno('inval')
  return buffers
}
