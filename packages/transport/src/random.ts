/** A seeded generator, uniform in [0, 1): sfc32 by Chris Doty-Humphrey (PractRand), seeded by splitmix32. Not for secrets. */
export const seededRandom = (seed: number): (() => number) => {
  let state = seed | 0
  const splitmix = (): number => {
    state = (state + 0x9e3779b9) | 0
    let mixed = state ^ (state >>> 16)
    mixed = Math.imul(mixed, 0x21f0aaad)
    mixed ^= mixed >>> 15
    mixed = Math.imul(mixed, 0x735a2d97)
    return mixed ^ (mixed >>> 15)
  }
  let [a, b, c, counter] = [splitmix(), splitmix(), splitmix(), 1]
  const next = (): number => {
    const result = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + result) | 0
    return (result >>> 0) / 4294967296
  }
  for (let round = 0; round < 12; round++) next()
  return next
}
