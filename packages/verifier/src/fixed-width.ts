import { VerifierError } from './error.ts'
import type { Digest } from './method.ts'

const inRange = (value: number, low: number, high: number, field: string): number => {
  if (!Number.isSafeInteger(value) || value < low || value > high)
    throw new VerifierError('field-invalid', `${field} is ${value}, expected a whole number from ${low} to ${high}`)
  return value
}

/** 4 bytes, big-endian. */
export const unsigned32 = (value: number, field: string): Uint8Array => {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, inRange(value, 0, 2 ** 32 - 1, field))
  return bytes
}

/** The 32 bits of an exit code, big-endian. Engines read them as signed or as unsigned: −1 and 4294967295 are the same four bytes. */
export const exitBytes = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setInt32(0, inRange(value, -(2 ** 31), 2 ** 32 - 1, 'exit'))
  return bytes
}

/** 8 bytes, big-endian. */
export const unsigned64 = (value: bigint): Uint8Array => {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, value)
  return bytes
}

/** The 32 bytes of a digest. */
export const digestBytes = (digest: Digest, field: string): Uint8Array => {
  if (!/^[0-9a-f]{64}$/.test(digest)) throw new VerifierError('field-invalid', `${field} is not a digest: expected 64 lower-case hexadecimal digits`)
  return Uint8Array.from({ length: 32 }, (_, index) => Number.parseInt(digest.slice(index * 2, index * 2 + 2), 16))
}

/** One after another. */
export const concatenate = (parts: readonly Uint8Array[]): Uint8Array => {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
