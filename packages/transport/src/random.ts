/**
 * Numbers in [0, 1) that are the same for the same seed on every machine: sfc32 by Chris Doty-Humphrey (PractRand, public domain), its four words drawn from FNV-1a
 * hashes of the seed (http://www.isthe.com/chongo/tech/comp/fnv/). For simulations; nothing secret may depend on it.
 */
export const seededRandom = (seed: string): (() => number) => {
  const hash = (salt: number): number => {
    let value = (0x811c9dc5 ^ salt) >>> 0
    for (let index = 0; index < seed.length; index += 1) value = Math.imul(value ^ seed.charCodeAt(index), 0x01000193) >>> 0
    return value
  }
  let a = hash(0)
  let b = hash(0x9e3779b9)
  let c = hash(0x243f6a88)
  let counter = 1
  const next = (): number => {
    const result = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + result) | 0
    return (result >>> 0) / 4294967296
  }
  for (let round = 0; round < 15; round += 1) next()
  return next
}
