import { createCipheriv, createHash } from 'node:crypto'

const zeros = new Uint8Array(65_536)

/** Fills buffers with the key stream of AES-256-CTR under a key made of the seed: equal seeds give equal streams, and nothing else predicts them. */
export const randomFrom = (seed: Uint8Array): ((into: Uint8Array) => void) => {
  const key = createHash('sha256').update('skrei/wasm/random/1').update(seed).digest()
  const cipher = createCipheriv('aes-256-ctr', key, new Uint8Array(16))
  return (into) => {
    for (let at = 0; at < into.length; at += zeros.length) into.set(cipher.update(zeros.subarray(0, Math.min(zeros.length, into.length - at))), at)
  }
}

export interface GuestClock {
  /** Nanoseconds, of the wall clock or since the start. */
  now(clock: 'realtime' | 'monotonic'): bigint
  /** Time passes at once. */
  sleepUntil(monotonic: bigint): void
  readonly epoch: bigint
  readonly resolution: bigint
}

/** 2026-01-01T00:00:00Z. Every run starts then. */
const epoch = 1_767_225_600_000_000_000n
const resolution = 1000n

/** Time as the guest sees it: a microsecond passes with every look at the clock, and a sleep takes none. So it is the same on every node. */
export const guestClock = (): GuestClock => {
  let elapsed = 0n
  return {
    epoch,
    resolution,
    now: (clock) => {
      elapsed += resolution
      return clock === 'realtime' ? epoch + elapsed : elapsed
    },
    sleepUntil: (monotonic) => {
      // A guest may ask for more than 64 bits of nanoseconds hold: time then stands still at the end.
      const limit = 2n ** 62n
      if (monotonic > elapsed) elapsed = monotonic < limit ? monotonic : limit
    },
  }
}
