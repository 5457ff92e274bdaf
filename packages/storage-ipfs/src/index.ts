export type { Added, Additions, AddOptions, FileToAdd } from './additions.ts'
export type { BlockOptions, Blockstore } from './blockstore.ts'
export { IpfsError, type IpfsErrorCode } from './ipfs-error.ts'
export { type IpfsStorage, type IpfsStorageOptions, ipfsStorage } from './ipfs-storage.ts'
