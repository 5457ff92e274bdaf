// The CID profile `unixfs-v1-2025` (IPIP-499): CIDv1, sha2-256, raw leaves, balanced layout, no modes nor times. The same content has the same CID from
// kubo (`ipfs init --profile=unixfs-v1-2025`) and from helia with that profile.

export const profile = 'unixfs-v1-2025'
export const chunkBytes = 1_048_576
export const linksPerNode = 1024
/** A directory whose block would be larger than this is sharded. */
export const shardThreshold = 262_144
export const shardWidth = 256n
