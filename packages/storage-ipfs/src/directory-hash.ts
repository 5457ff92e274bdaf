import { murmur364 } from '@multiformats/murmur3'

const encoder = new TextEncoder()

/** Where a name stands in a sharded directory: one byte for each level (the first 64 bits of murmur3-x64-128, as go-ipfs fixed it). */
export const directoryHash = async (name: string): Promise<Uint8Array> => (await murmur364.digest(encoder.encode(name))).digest

/** The label of a slot: two upper-case hexadecimal digits. */
export const slotLabel = (slot: number): string => slot.toString(16).toUpperCase().padStart(2, '0')

/** Levels that 64 bits of hash allow. */
export const maxShardDepth = 8
